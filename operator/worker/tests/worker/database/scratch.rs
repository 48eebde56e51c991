//! A database that is made for one restore, at every step where its maker may have been killed.

use tokio::runtime::Runtime;
use zhengyun_worker::control::Control;
use zhengyun_worker::database::login::Login;
use zhengyun_worker::database::scratch::{Found, ScratchDatabase};
use zhengyun_worker::database::{DatabaseArgs, Server};
use zhengyun_worker::error::Result;

use super::{PASSWORD, Postgres};

const NAME: &str = "zy_drill_1_0_a";
/// Where a backup came from: nowhere near.
const ORIGIN: &str = "db.invalid:5432/app";

struct Stage {
    server: Postgres,
    runtime: Runtime,
    args: DatabaseArgs,
}

impl Stage {
    fn new() -> Self {
        let server = Postgres::start().unwrap();
        for role in ["maker LOGIN CREATEDB", "other LOGIN"] {
            server.sql("postgres", &format!("CREATE ROLE {role} PASSWORD '{PASSWORD}'")).unwrap();
        }
        let args = DatabaseArgs { lab_local_databases: true, ..DatabaseArgs::default() };
        Self { server, runtime: Runtime::new().unwrap(), args }
    }

    fn connect(&self, user: &str, database: &str) -> Result<Server> {
        let login = serde_json::json!({
            "host": "127.0.0.1", "port": self.server.port, "database": database, "user": user, "password": PASSWORD
        });
        let login: Login = serde_json::from_value(login).unwrap();
        Server::connect(&login, &self.args, self.runtime.handle(), &Control::new())
    }

    /// Makes one, and says whether anything was begun.
    fn make(&self, scratch: &ScratchDatabase, encoding: &str, origin: &str) -> (Result<Login>, bool) {
        let (server, mut begun) = (self.connect("maker", "postgres").unwrap(), false);
        let login =
            scratch.make(&server, (encoding, origin), &self.args, self.runtime.handle(), &Control::new(), || {
                begun = true;
                Ok(())
            });
        (login, begun)
    }

    fn made(&self) -> Login {
        self.make(&scratch(), "UTF8", ORIGIN).0.unwrap()
    }

    fn removed(&self) -> Found {
        scratch().remove(&self.connect("maker", "postgres").unwrap(), &Control::new()).unwrap()
    }

    fn sql(&self, database: &str, statements: &str) -> String {
        self.server.sql(database, statements).unwrap()
    }

    fn stands(&self) -> bool {
        self.sql("postgres", &format!("SELECT count(*) FROM pg_database WHERE datname = '{NAME}'")) == "1"
    }
}

fn scratch() -> ScratchDatabase {
    ScratchDatabase { name: NAME.to_owned(), template: "template0".to_owned() }
}

fn refused(made: (Result<Login>, bool), reason: &str) -> String {
    let error = made.0.unwrap_err();
    assert_eq!(error.reason(), reason, "{error}");
    assert!(!made.1, "nothing was begun");
    error.to_string()
}

#[test]
fn it_is_made_anew_whatever_stands_of_it_and_whoever_is_inside() {
    let stage = Stage::new();
    assert_eq!(stage.removed(), Found::Nothing);
    assert_eq!(stage.made().database, NAME);
    let rights = format!("SELECT has_database_privilege('other', '{NAME}', 'CONNECT')");
    assert_eq!(stage.sql("postgres", &rights), "f");
    stage.sql(NAME, "CREATE TABLE left_over (n int)");
    // A process before this one is still connected, as one is that was killed a moment ago.
    let inside = stage.connect("maker", NAME).unwrap();
    let again = stage.made();
    assert_eq!(stage.sql(&again.database, "SELECT to_regclass('public.left_over')"), "");
    assert!(inside.one("SELECT 1").is_err(), "its session was ended");
    assert_eq!(stage.removed(), Found::Ours);
    assert!(!stage.stands());
    assert_eq!(stage.removed(), Found::Nothing);
}

#[test]
fn one_whose_maker_was_killed_before_it_was_marked_is_taken_up_and_removed() {
    let stage = Stage::new();
    let unmarked = format!("CREATE DATABASE {NAME} OWNER maker ALLOW_CONNECTIONS false");
    stage.sql("postgres", &unmarked);
    stage.made();
    // Marked, and not opened yet.
    stage.sql("postgres", &format!("ALTER DATABASE {NAME} ALLOW_CONNECTIONS false"));
    stage.made();
    assert_eq!(stage.removed(), Found::Ours);
    stage.sql("postgres", &unmarked);
    assert_eq!(stage.removed(), Found::Ours);
    assert!(!stage.stands());
}

#[test]
fn one_of_somebody_else_is_left_as_it_is() {
    let stage = Stage::new();
    for (owner, changed) in [
        ("other", String::new()),
        // Also of the same user, who may have made it by hand.
        ("maker", String::new()),
        ("maker", format!("COMMENT ON DATABASE {NAME} IS 'theirs'; ALTER DATABASE {NAME} ALLOW_CONNECTIONS false")),
        ("other", format!("ALTER DATABASE {NAME} ALLOW_CONNECTIONS false")),
    ] {
        stage.sql("postgres", &format!("CREATE DATABASE {NAME} OWNER {owner}"));
        stage.sql("postgres", &changed);
        let said = refused(stage.make(&scratch(), "UTF8", ORIGIN), "ScratchTaken");
        assert!(said.contains(NAME) && said.contains(owner), "{said}");
        assert_eq!(stage.removed(), Found::Anothers(owner.to_owned()));
        assert!(stage.stands(), "{owner} {changed}");
        stage.sql("postgres", &format!("DROP DATABASE {NAME}"));
    }
}

#[test]
fn it_is_in_the_encoding_of_the_backup_and_like_its_template() {
    let stage = Stage::new();
    stage.make(&scratch(), "EUC_CN", ORIGIN).0.unwrap();
    let encoding = format!("SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = '{NAME}'");
    assert_eq!(stage.sql("postgres", &encoding), "EUC_CN");
    stage.sql("postgres", "CREATE DATABASE like_this IS_TEMPLATE true");
    stage.sql("like_this", "CREATE TABLE given (n int)");
    let like = ScratchDatabase { template: "like_this".to_owned(), ..scratch() };
    stage.make(&like, "UTF8", ORIGIN).0.unwrap();
    assert_eq!(stage.sql(NAME, "SELECT to_regclass('public.given')"), "given");
    refused(stage.make(&like, "EUC_CN", ORIGIN), "EncodingMismatch");
    let missing = ScratchDatabase { template: "missing".to_owned(), ..scratch() };
    refused(stage.make(&missing, "UTF8", ORIGIN), "TemplateMissing");
}

#[test]
fn it_is_never_where_the_backup_came_from() {
    let stage = Stage::new();
    for host in ["127.0.0.1", "localhost"] {
        let said = refused(stage.make(&scratch(), "UTF8", &format!("{host}:{}/app", stage.server.port)), "ServerInUse");
        assert!(said.contains("name a server for drills alone"), "{said}");
    }
    assert!(!stage.stands());
}
