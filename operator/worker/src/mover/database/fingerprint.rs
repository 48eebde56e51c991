//! What a schema is: every thing in it by name, with a digest of its definition, so that a difference can be named.

use std::collections::BTreeMap;

use super::sql::{OF_PEOPLE, field};
use crate::control::Control;
use crate::database::Server;
use crate::error::Result;

/// Differences that are named.
const NAMED: usize = 10;

/// Things of a schema, and a digest of each.
pub(super) type Schema = BTreeMap<String, String>;

/// Reads the definitions. Owners and rights are none of it: they change nothing about what is copied.
pub(super) fn read(server: &Server, control: &Control) -> Result<Schema> {
    let of_extension = |class: &str, object: &str| {
        format!(
            "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{class}'::regclass AND e.objid = {object} AND e.deptype = 'e')"
        )
    };
    let schema = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'zhengyun_move')";
    let query = format!(
        "WITH rel AS (SELECT c.*, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
           WHERE c.relpersistence <> 't' AND {OF_PEOPLE}), \
         told AS ( \
         SELECT 'schema ' || quote_ident(n.nspname) AS name, '' AS definition FROM pg_namespace n WHERE {schema} \
         UNION ALL SELECT CASE relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialised view ' WHEN 'f' THEN 'foreign table ' ELSE 'table ' END || name, \
           concat_ws('|', relkind, relpersistence, relrowsecurity, relforcerowsecurity, reloptions::text, \
             CASE WHEN relkind = 'p' THEN pg_get_partkeydef(oid) END, pg_get_expr(relpartbound, oid), \
             CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END) FROM rel WHERE relkind IN ('r', 'p', 'v', 'm', 'f') \
         UNION ALL SELECT 'column ' || name || '.' || quote_ident(a.attname), \
           concat_ws('|', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), \
             (SELECT collname FROM pg_collation WHERE oid = a.attcollation)) \
           FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid LEFT JOIN pg_attrdef d ON d.adrelid = rel.oid AND d.adnum = a.attnum \
           WHERE rel.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND a.attnum > 0 AND NOT a.attisdropped \
         UNION ALL SELECT 'constraint ' || quote_ident(k.conname) || ' of ' || rel.name, pg_get_constraintdef(k.oid) \
           FROM pg_constraint k JOIN rel ON rel.oid = k.conrelid WHERE k.conparentid = 0 \
         UNION ALL SELECT 'index ' || name, pg_get_indexdef(oid) FROM rel WHERE relkind IN ('i', 'I') \
         UNION ALL SELECT 'sequence ' || name, concat_ws('|', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle) \
           FROM rel JOIN pg_sequence s ON s.seqrelid = rel.oid \
         UNION ALL SELECT 'trigger ' || quote_ident(t.tgname) || ' of ' || rel.name, pg_get_triggerdef(t.oid) || t.tgenabled::text \
           FROM pg_trigger t JOIN rel ON rel.oid = t.tgrelid WHERE NOT t.tgisinternal \
         UNION ALL SELECT 'rule ' || quote_ident(u.rulename) || ' of ' || rel.name, pg_get_ruledef(u.oid) \
           FROM pg_rewrite u JOIN rel ON rel.oid = u.ev_class WHERE u.rulename <> '_RETURN' \
         UNION ALL SELECT 'policy ' || quote_ident(p.polname) || ' of ' || rel.name, concat_ws('|', p.polcmd, p.polpermissive, \
             pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) FROM pg_policy p JOIN rel ON rel.oid = p.polrelid \
         UNION ALL SELECT 'function ' || p.oid::regprocedure::text, CASE WHEN p.prokind = 'a' THEN '' ELSE pg_get_functiondef(p.oid) END \
           FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {schema} AND {} \
         UNION ALL SELECT 'type ' || format_type(t.oid, NULL), concat_ws('|', t.typtype, t.typnotnull, t.typdefault, \
             CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END, \
             (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid), \
             (SELECT string_agg(pg_get_constraintdef(k.oid), ',' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid)) \
           FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype IN ('d', 'e', 'r') AND {schema} AND {} \
         UNION ALL SELECT 'extension ' || quote_ident(extname), '' FROM pg_extension) \
         SELECT name, md5(definition) FROM told ORDER BY 1",
        of_extension("pg_proc", "p.oid"),
        of_extension("pg_type", "t.oid"),
    );
    let rows = server.rows_for(&query, control)?;
    Ok(rows.iter().map(|row| (field(row, 0).to_owned(), field(row, 1).to_owned())).collect())
}

/// What differs, by name; none if nothing does.
pub(super) fn differences(before: &Schema, now: &Schema) -> Vec<String> {
    let mut all = Vec::new();
    for (name, definition) in now {
        match before.get(name) {
            None => all.push(format!("{name} is new")),
            Some(earlier) if earlier != definition => all.push(format!("{name} is another")),
            Some(_) => {}
        }
    }
    all.extend(before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} is gone")));
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Schema, differences};

    #[test]
    fn what_differs_is_named() {
        let of =
            |all: &[(&str, &str)]| -> Schema { all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect() };
        let before = of(&[("a", "1"), ("b", "1"), ("c", "1")]);
        assert!(differences(&before, &before).is_empty());
        let now = of(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(differences(&before, &now), ["b is another", "d is new", "c is gone"]);
        let many: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|n| (n.as_str(), "")).collect();
        assert_eq!(differences(&Schema::new(), &of(&many)).last().unwrap(), "and 10 more");
    }
}
