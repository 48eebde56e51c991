//! File trees: which folder of the administrator's a name and a relative path stand for, and whether a department may have it.
//!
//! Three have a say. The administrator who starts the operator names folders of its machine, for reading alone or for writing too. The
//! administrator of the cloud declares on a site which of them, or which part, is whose. A plan or restore names the declaration and a
//! path below it. So nothing that stands in a custom resource says which path of that machine is opened.

use std::collections::BTreeMap;

use serde::Serialize;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::FileSource;
use zhengyun_crds::site::ExternalSources;

/// A folder that the operator was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Whether restores may write below it.
    pub writable: bool,
}

/// What is done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is backed up.
    Read,
    /// Something is restored to it.
    Write,
}

/// What is known of folders, for one department.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Department that asks.
    pub department: &'a str,
    /// What sites declare of what is outside the cloud, by site.
    pub declared: &'a BTreeMap<String, ExternalSources>,
    /// Folders that the operator was started with, by name.
    pub folders: &'a BTreeMap<String, Folder>,
}

/// Where a file tree is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilePlace {
    /// Site that declares it.
    pub site: String,
    /// Name of the declaration.
    pub root: String,
    /// Folder that the operator was started with, by name.
    pub folder: String,
    /// Path below that folder: relative, each element a plain name; empty for the folder itself.
    pub below: String,
    /// Path below the declaration, as people know it.
    pub subpath: String,
}

impl FilePlace {
    /// For people: `files ROOT/SUBPATH`.
    pub fn shown(&self) -> String {
        let slash = if self.subpath.is_empty() { "" } else { "/" };
        format!("files {}{slash}{}", self.root, self.subpath)
    }
}

/// Why a place is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPlace {
    /// Field of [`FileSource`] that it is about.
    pub field: &'static str,
    /// Stable code.
    pub reason: Reason,
    /// Field, value and fix.
    pub message: String,
}

/// Finds the place.
///
/// # Errors
/// When the site declares no such root for the department, when the path leaves it, when the operator was started without the folder, or
/// when something is to be restored to a folder that is for reading alone.
pub fn place(from: &FileSource, known: &Known<'_>, usage: Use) -> Result<FilePlace, NoPlace> {
    let refuse = |field: &'static str, reason: Reason, message: String| NoPlace { field, reason, message };
    let roots = known.declared.get(&from.site).map(|declared| &declared.file_roots);
    let own = roots.into_iter().flatten().filter(|root| root.department == known.department);
    // Another department's root is answered like one that is not declared.
    let Some(root) = own.clone().find(|root| root.name == from.root) else {
        let declared = listed(own.map(|root| &root.name));
        let message = undeclared("file root", &from.root, &from.site, known.department, &declared);
        return Err(refuse("root", Reason::SourceRefused, message));
    };
    if !is_below(&from.subpath) {
        let message = format!("{:?} leaves the root: write a relative path without . or .. elements", from.subpath);
        return Err(refuse("subpath", Reason::SourceRefused, message));
    }
    if !is_below(&root.subpath) {
        let message = format!(
            "root {} of site {} is declared with the subpath {:?}, which leaves its folder: the cloud administrator writes a relative path without . or .. elements",
            from.root, from.site, root.subpath
        );
        return Err(refuse("root", Reason::SourceRefused, message));
    }
    let Some(folder) = known.folders.get(&root.folder) else {
        let message = format!(
            "root {} of site {} is in the folder {}, and this operator was started without it (it knows: {}): the cloud administrator starts it with --file-root {}=PATH; 本控制器启动时未指定该目录，请云管理员以 --file-root 参数启动",
            from.root,
            from.site,
            root.folder,
            listed(known.folders.keys()),
            root.folder
        );
        return Err(refuse("root", Reason::ActionNotAvailable, message));
    };
    if usage == Use::Write && !folder.writable {
        let writable = known.folders.iter().filter(|(_, folder)| folder.writable).map(|(name, _)| name);
        let message = format!(
            "root {} of site {} is in the folder {}, which is for reading alone (restores may write to: {}): restore to another root, or have the cloud administrator start the operator with --writable-file-root {}=PATH; 该目录只读，请恢复到其他根目录，或由云管理员以 --writable-file-root 参数启动",
            from.root,
            from.site,
            root.folder,
            listed(writable),
            root.folder
        );
        return Err(refuse("root", Reason::ActionNotAvailable, message));
    }
    let parts: Vec<&str> =
        [root.subpath.as_str(), from.subpath.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    Ok(FilePlace {
        site: from.site.clone(),
        root: from.root.clone(),
        folder: root.folder.clone(),
        below: parts.join("/"),
        subpath: from.subpath.clone(),
    })
}

/// The CRD refuses these already; a path decides what is read, so it is looked at once more where it is used.
fn is_below(subpath: &str) -> bool {
    subpath.is_empty()
        || (!subpath.contains(['\0', '\n', '\r'])
            && subpath.split('/').all(|element| !element.is_empty() && element != "." && element != ".."))
}

/// Says that an administrator did not declare something.
pub(super) fn undeclared(what: &str, name: &str, site: &str, department: &str, known: &str) -> String {
    format!(
        "site {site} declares no {what} {name} for department {department} (it declares: {known}): the cloud administrator adds it to the site's spec.externalSources"
    )
}

/// Names in one line.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let all: Vec<&str> = names.map(String::as_str).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
