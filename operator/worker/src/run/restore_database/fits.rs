//! Whether a server can take a dump.

use crate::database::Server;
use crate::database::tool::Tool;
use crate::error::Result;
use crate::evidence::items::DatabaseRecord;

/// Refuses, before anything is written, what cannot come to its end.
pub(super) fn check(server: &Server, record: &DatabaseRecord, dump: &Tool, load: &Tool) -> Result<()> {
    let major = |version: &str| version.split('.').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or_default();
    if server.major > dump.major {
        return Err(server.failed(
            "ServerTooNew",
            format!("the server is PostgreSQL {}, pg_dump is {}", server.version, dump.version),
            format!("install the client programs of PostgreSQL {} where the worker runs", server.major),
        ));
    }
    if major(&record.dump_version) > load.major {
        return Err(server.failed(
            "ServerTooNew",
            format!("the dump was made by pg_dump {}, pg_restore is {}", record.dump_version, load.version),
            format!("install the client programs of PostgreSQL {} where the worker runs", major(&record.dump_version)),
        ));
    }
    if server.major < major(&record.server_version) {
        return Err(server.failed(
            "ServerTooOld",
            format!("the server is PostgreSQL {}, the backup is of {}", server.version, record.server_version),
            "restore into a server of at least that version",
        ));
    }
    let offered: Vec<String> = server.rows("SELECT name FROM pg_available_extensions")?.into_iter().flatten().collect();
    let missing: Vec<&str> = record.extensions.iter().filter(|e| !offered.contains(e)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(server.failed(
        "ExtensionMissing",
        format!("the server does not offer the extension {}", missing.join(", ")),
        "install it at the server, or restore into a server that offers it",
    ))
}

/// Refuses a database in another encoding.
pub(super) fn encoding(server: &Server, record: &DatabaseRecord) -> Result<()> {
    if server.encoding == record.encoding {
        return Ok(());
    }
    Err(server.failed(
        "EncodingMismatch",
        format!("its encoding is {}, the backup's is {}", server.encoding, record.encoding),
        format!("create it WITH ENCODING '{}' TEMPLATE template0", record.encoding),
    ))
}
