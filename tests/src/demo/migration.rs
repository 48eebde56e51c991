//! The story of `make demo-migration`: 林草局's 林长制系统 and a guest's files leave a machine room in two waves, under load, once in vain;
//! then the room is closed.

mod acts;
mod application;
mod ground;
mod moves;
mod share;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use comfy_table::{Table, presets};

use self::application::{Application, Side};
use self::ground::{DATABASE, Ground};
use super::{Stage, parts, runs};
use crate::lab::postgres::Superuser;

/// How long the way back may take.
const WAY_BACK: Duration = Duration::from_mins(1);

/// How much moves.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Rows of the database.
    pub rows: u64,
    /// Files on its share; the guest has a fifth of them.
    pub files: u64,
}

/// What was measured, for the end.
#[derive(Default)]
struct Figures(Vec<(String, String)>);

impl Figures {
    fn add(&mut self, what: &str, found: impl Into<String>) {
        self.0.push((what.to_owned(), found.into()));
    }
}

/// Tells the story on a running lab.
///
/// # Errors
/// The first step that did not come out as told.
pub(super) async fn play(stage: &Stage, sizes: Sizes, out: &mut dyn FnMut(&str)) -> Result<()> {
    let begun = Instant::now();
    let ground = Ground::prepare(stage, sizes, out).await?;
    let [room, cloud] = ground.servers();
    let ports = (parts::database_port(stage, &room).await?, parts::database_port(stage, &cloud).await?);
    let application = Application::start(DATABASE, ports.0, ports.1);
    application.writes(Side::Room, Instant::now()).await?;
    out(
        "The application of 林长制系统 writes all the time, and notes the number of each commit that is acknowledged. It tries both servers.",
    );
    let mut figures = Figures::default();
    let story = acts::Story { stage, ground: &ground, application: &application };
    story.registered(out).await?;
    story.copied(out).await?;
    story.goes_back(&mut figures, out).await?;
    story.cut_over(&mut figures, out).await?;
    story.second_wave(&mut figures, out).await?;
    story.accepted(out).await?;
    story.erased(out).await?;
    story.room_closed(out).await?;

    let written = application.stop().await;
    let both = written.both_writable();
    let (in_room, on_cloud) = (written.on(Side::Room), written.on(Side::Cloud));
    let server = Superuser::at(ports.1)?;
    let (once, rows) = tokio::task::spawn_blocking(move || {
        let once = written.found_in(&server, DATABASE)?;
        anyhow::Ok((once, server.sql(DATABASE, "SELECT count(*) FROM patrol")?))
    })
    .await??;
    ensure!(rows == sizes.rows.to_string(), "{rows} patrols are on the target, {} were in the room", sizes.rows);
    ensure!(both.is_zero(), "both sides were writable for {} ms", both.as_millis());
    figures.add("both sides writable", "0 ms: the room acknowledged nothing after the cloud had begun to");
    let acknowledged = format!("{} ({in_room} in the room, {on_cloud} on the cloud)", in_room + on_cloud);
    figures.add("commits acknowledged", acknowledged);
    figures.add("commits found on the target, each once", once.to_string());
    figures.add("rows of patrols on the target", rows);
    figures.add("the story", format!("{:.0} s", begun.elapsed().as_secs_f64()));
    ground.clear(stage).await?;
    out("\nWhat was measured:\n");
    out(&table(&figures));
    out(&format!(
        "\nThe servers in the room are off. Look on:\n\n  {line} get rooms,waves\n  {line} -n dept-{} describe migration {}\n\nEnd everything: make demo-down\n",
        ground.forest.department,
        ground.forest.name,
        line = runs::kubectl_line(stage)?
    ));
    Ok(())
}

fn table(figures: &Figures) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    for (what, found) in &figures.0 {
        table.add_row([what, found]);
    }
    table.to_string()
}
