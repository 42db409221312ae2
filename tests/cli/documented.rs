//! What the documentation tells operators to type is typed here: as it is printed, and in its order.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::servers::program;
use crate::service::{DAY, Service, lasting};
use crate::support::World;

/// The id in all that is printed. It stands for a key that opens.
const PRINTED_ID: &str = "4KX9vQ2mB7tZ";

/// The program as a function of the shell: it agrees to what is asked, has the text of a key on its
/// standard input where it asks for one, and may find keys where it scans.
const FUNCTION: &str = r#"
keygate() {
  local yes=
  if command keygate "$@" --help | grep -q -e --yes; then yes=--yes; fi
  case $1 in
    verify | leak) command keygate "$@" $yes < "$KEY_TEXT" ;;
    scan) command keygate "$@" || [ $? -eq 5 ] ;;
    *) command keygate "$@" $yes ;;
  esac
}
"#;

struct Page {
    name: String,
    text: String,
}

#[derive(Default)]
struct Chapter {
    title: String,
    blocks: Vec<Block>,
}

/// What is printed between two fences.
struct Block {
    language: String,
    text: String,
}

fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = fs::read_dir(root.join("src/docs")).unwrap();
    let documents = documents.map(|entry| entry.unwrap().path());
    let paths = documents.chain([root.join("README.md")]);
    let read = |path: std::path::PathBuf| Page {
        name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        text: fs::read_to_string(&path).unwrap(),
    };
    paths.map(read).collect()
}

#[test]
fn what_is_printed_works_as_it_is_printed() {
    let Some(shell) = program("bash", &[]) else {
        return;
    };
    let is_there = |name| program(name, &[]).is_some();
    if !is_there("jq") || !is_there("git") {
        return;
    }
    let mut tried = 0;
    for page in pages() {
        for Chapter { title, blocks } in chapters(&page.text) {
            if blocks.iter().any(Block::is_for_the_program) {
                Reader::begin(&blocks).read(&shell, &blocks, &format!("{}, {title}", page.name));
                tried += 1;
            }
        }
    }
    assert!(tried >= 6, "{tried}");
}

#[test]
fn no_command_is_printed_where_it_is_not_tried() {
    for page in pages() {
        let blocks = chapters(&page.text)
            .into_iter()
            .flat_map(|chapter| chapter.blocks);
        let tried: Vec<Block> = blocks.filter(Block::is_for_the_program).collect();
        for line in page.text.lines().filter(|line| calls(line)) {
            let is_tried = tried.iter().any(|block| block.text.contains(line.trim()));
            assert!(
                is_tried,
                "{}: a command that is in no sh block: {line}",
                page.name
            );
        }
    }
}

/// A mention in a sentence can be no whole command.
#[test]
fn what_sentences_mention_can_be_typed() {
    let world = World::empty();
    for page in pages() {
        let spans = page
            .text
            .split('`')
            .filter(|span| span.starts_with("keygate ") && !span.contains('\n'));
        for span in spans {
            let arguments = span.split(' ').skip(1).filter(|word| *word != "..");
            let ran = world.run(arguments.chain(["--help"]));
            assert_eq!(ran.code, 0, "{}: `{span}`: {}", page.name, ran.err);
        }
    }
}

#[test]
fn the_examples_of_the_help_work() {
    let Some(shell) = program("bash", &[]) else {
        return;
    };
    if program("jq", &[]).is_none() {
        return;
    }
    let help = World::empty().run(["--help"]).done().out;
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    let block = |line: &str| Block {
        language: "sh".into(),
        text: line.into(),
    };
    let blocks: Vec<Block> = examples.lines().map(block).collect();
    Reader::begin(&blocks).read(&shell, &blocks, "help");
}

/// Whoever types what is printed, in a world that has what the text assumes.
struct Reader {
    world: World,
    id: Option<String>,
}

impl Reader {
    /// The store is there, unless it is set up by what is printed.
    fn begin(blocks: &[Block]) -> Self {
        if blocks
            .iter()
            .any(|block| block.text.contains("keygate init "))
        {
            return Self {
                world: World::empty(),
                id: None,
            };
        }
        let world = World::new();
        let text = used_key(&world);
        let id = keygate::PresentedKey::parse(&text)
            .unwrap()
            .id()
            .to_string();
        world.write("key-text", &text);
        for (name, text) in [
            ("the-repository/.env", format!("TOKEN={text}\n")),
            ("tokens.csv", TOKENS.into()),
        ] {
            fs::create_dir_all(world.path(name).parent().unwrap()).unwrap();
            world.write(name, &text);
        }
        Self {
            world,
            id: Some(id),
        }
    }

    fn read(mut self, shell: &Path, blocks: &[Block], place: &str) {
        for block in blocks {
            if block.language == "toml" {
                self.settings(&block.text);
            } else if block.is_for_the_program() {
                let text = self.about_a_key_of_this_world(&block.text);
                let script = format!("{FUNCTION}\n{GIT}\n{text}");
                let output = self.command(shell).args(["-ec", &script]).output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{place}:\n{text}\n{said}");
            }
        }
    }

    /// A whole file of settings, or what is added to the one that there is.
    fn settings(&self, text: &str) {
        match text.contains("store = ") {
            true => self.world.write("keygate.toml", text),
            false => {
                let before = self.world.read("keygate.toml");
                self.world
                    .write("keygate.toml", &format!("{before}\n{text}"));
            }
        }
    }

    fn about_a_key_of_this_world(&mut self, text: &str) -> String {
        let asks = ["keygate verify", "keygate leak"]
            .iter()
            .any(|command| text.contains(command));
        if !asks && !text.contains(PRINTED_ID) || !self.world.path("keygate.toml").exists() {
            return text.to_owned();
        }
        let id = self.id.take().filter(|id| self.opens(id));
        let id = id.unwrap_or_else(|| {
            let (text, id) = self
                .world
                .issue(["--owner", "org_42", "--scope", "orders:read"]);
            self.world.write("key-text", &text);
            id
        });
        self.id = Some(id.clone());
        text.replace(PRINTED_ID, &id)
    }

    fn opens(&self, id: &str) -> bool {
        let listed = self
            .world
            .run(["list", "--status", "active", "--json"])
            .json();
        listed["keys"]
            .as_array()
            .unwrap()
            .iter()
            .any(|key| key["key_id"] == id)
    }

    fn command(&self, shell: &Path) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_keygate")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            [programs.to_owned()]
                .into_iter()
                .chain(std::env::split_paths(&path)),
        );
        let mut command = Command::new(shell);
        command
            .current_dir(self.world.path(""))
            .env_clear()
            .env("PATH", path.unwrap());
        command.env("HOME", self.world.path("")).env("USER", "ada");
        command.env("KEY_TEXT", self.world.path("key-text"));
        command
    }
}

/// The repository is one, once, and whoever has committed to it has a name.
const GIT: &str = r#"
if [ -d the-repository ] && [ ! -d the-repository/.git ]; then
  git -C the-repository init --quiet
  git -C the-repository add .env
  git -C the-repository -c user.name=Ada -c user.email=ada@example.com commit --quiet --message 'Deploy'
fi
"#;

/// As the database of Laravel Sanctum writes them out.
const TOKENS: &str = "\
label,owner,hash
1,user_1,eb5ad5e09a72267efc4bceda015860b685ef09ef18b3fb56265058da19c80d25
2,user_1,c85d3e076fe06311709f80cf64ea7aa554c80e54ad6e770ca96e0950487f99bd
";

/// The text of a key that was made a hundred days ago, and needed one of its two scopes since.
fn used_key(world: &World) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (past, clock) = Service::begin(world, 100 * DAY).await;
        let issued = past.issue(lasting("org_42", "CI")).await;
        clock.advance(99 * DAY);
        let text = issued.key.expose();
        past.request(text, "orders:read").await.unwrap();
        past.stop().await;
        text.to_owned()
    })
}

impl Block {
    fn is_for_the_program(&self) -> bool {
        self.language == "sh" && self.text.lines().any(calls)
    }
}

/// Whether the line calls the program.
fn calls(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("keygate ") && !line.starts_with("keygate = ") || line.contains("| keygate ")
}

/// The page by its headings, `#` or `##`.
fn chapters(page: &str) -> Vec<Chapter> {
    let mut chapters = vec![Chapter::default()];
    let mut open: Option<(usize, Block)> = None;
    for line in page.lines() {
        let chapter = chapters.last_mut().unwrap();
        let text = line.trim_start();
        match (text.strip_prefix("```"), open.as_mut()) {
            (Some(language), None) => {
                let language = language.to_owned();
                open = Some((
                    line.len() - text.len(),
                    Block {
                        language,
                        text: String::new(),
                    },
                ));
            }
            (Some(_), Some(_)) => chapter.blocks.extend(open.take().map(|(_, block)| block)),
            (None, Some((indent, block))) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) if line.starts_with("# ") || line.starts_with("## ") => {
                let title = line.to_owned();
                chapters.push(Chapter {
                    title,
                    blocks: Vec::new(),
                });
            }
            (None, None) => {}
        }
    }
    chapters
}
