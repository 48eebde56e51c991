//! Prints the OpenAPI document: `cargo run -p zhengyun-api --bin openapi > api/openapi.json`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(zhengyun_api::openapi::document().as_bytes())
}
