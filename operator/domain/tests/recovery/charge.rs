use proptest::prelude::*;
use zhengyun_domain::amounts::ResourceName;
use zhengyun_domain::quantity::Quantity;
use zhengyun_domain::recovery::charge::{STORAGE_BACKUP, Stored, bytes, may_write, running, settled};

fn stored(store: &str, site: &str, bytes: u64) -> Stored {
    Stored { store: store.to_owned(), site: site.to_owned(), bytes }
}

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}

fn resource() -> ResourceName {
    ResourceName::try_from(STORAGE_BACKUP).unwrap()
}

#[test]
fn bytes_are_exact() {
    assert_eq!(bytes(1).unwrap().to_string(), "1");
    assert_eq!(bytes(1 << 30).unwrap().to_string(), "1Gi");
    assert_eq!(bytes((1 << 30) + 1).unwrap().whole_units(), Some((1 << 30) + 1));
    assert!(bytes(u64::MAX).is_err());
}

#[test]
fn a_run_holds_the_ceiling_and_settles_to_what_stands() {
    let stores = [stored("near", "hohhot", 3 << 30), stored("far", "ulanqab", 1 << 30)];
    let running = running(&stores, &quantity("10Gi")).unwrap();
    let at = |site: &str| &running[site];
    assert_eq!(at("hohhot").granted.get(&resource()), quantity("3Gi"));
    assert_eq!(at("hohhot").reserved.get(&resource()), quantity("7Gi"));
    assert_eq!(at("ulanqab").total().unwrap().get(&resource()), quantity("10Gi"));
    let settled = settled(&stores).unwrap();
    assert_eq!(settled["ulanqab"].granted.get(&resource()), quantity("1Gi"));
    assert!(settled["ulanqab"].reserved.is_zero());
}

#[test]
fn two_stores_at_one_site_add_up() {
    let stores = [stored("a", "hohhot", 5), stored("b", "hohhot", 7)];
    let running = running(&stores, &quantity("100")).unwrap();
    assert_eq!(running["hohhot"].total().unwrap().get(&resource()), quantity("200"));
    assert_eq!(settled(&stores).unwrap()["hohhot"].granted.get(&resource()), quantity("12"));
}

#[test]
fn refusals_say_store_numbers_and_fix() {
    let above = running(&[stored("near", "hohhot", 2048)], &quantity("1Ki")).unwrap_err().to_string();
    assert!(
        above.contains("store near holds 2Ki") && above.contains("ceiling is 1Ki") && above.contains("by 1Ki"),
        "{above}"
    );
    let pass = may_write(&stored("near", "hohhot", 1024), 1, &quantity("1Ki")).unwrap_err().to_string();
    assert!(pass.starts_with("QuotaExceeded") && pass.contains("the backups before it stay"), "{pass}");
    assert!(running(&[], &quantity("500m")).unwrap_err().to_string().contains("spec.ceiling 500m"));
}

proptest! {
    /// Whatever a run writes batch by batch, it never holds more than was reserved for it.
    #[test]
    fn writing_within_the_ceiling_never_passes_the_reservation(
        start in 0_u64..1_000_000, ceiling in 1_i64..2_000_000, batches in prop::collection::vec(1_u64..200_000, 0..40)
    ) {
        let ceiling = Quantity::try_from(ceiling).unwrap();
        let mut store = stored("near", "hohhot", start);
        let Ok(reserved) = running(std::slice::from_ref(&store), &ceiling) else {
            prop_assert!(bytes(start).unwrap() > ceiling);
            return Ok(());
        };
        for batch in batches {
            if may_write(&store, batch, &ceiling).is_ok() {
                store.bytes += batch;
            }
        }
        let settled = settled(std::slice::from_ref(&store)).unwrap();
        let (most, now) = (reserved["hohhot"].total().unwrap(), settled["hohhot"].total().unwrap());
        prop_assert_eq!(most.get(&resource()), ceiling);
        prop_assert!(now.get(&resource()) <= ceiling);
    }
}
