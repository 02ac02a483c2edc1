//! The guide's blocks of commands, and the one script that they become.

/// A block of commands; one that is not run says why in a comment above it.
pub(crate) struct Block {
    pub(crate) commands: String,
    pub(crate) not_run: Option<String>,
}

/// All of them, in their order.
pub(crate) fn of(guide: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut above = "";
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let commands: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            let reason = above.strip_prefix("<!-- not run: ").and_then(|rest| rest.strip_suffix(" -->"));
            found.push(Block { commands: commands.join("\n"), not_run: reason.map(str::to_owned) });
        }
        if !line.is_empty() {
            above = line;
        }
    }
    found
}

/// What a person types, and how the script waits for what they do elsewhere.
///
/// `typed` are the three keys. `answers` are those to `sam deploy --guided`: the secret, the addresses of the stand-ins of both vendors
/// and the mail address, "yes" to roles and open URLs, the default for the rest.
const PERSON: &str = r#"
typed() { printf '%s\n' "$TYPED_CLIENT_SECRET" "$TYPED_ACCESS_TOKEN" "$TYPED_KLAVIYO_KEY"; }
answers() {
  printf '%s\n' "" "" "$SECRET_ARN" "$INTERCOM_API_URL" "$KLAVIYO_API_URL" "" "" "shop@example.com" "y" "y" "n" "y" "y" "n" "y"
}
come_to() { touch "$PLACES/$1"; while [ -e "$PLACES/$1" ]; do sleep 0.1; done; }
parameter() {
  aws cloudformation describe-stacks --stack-name intercom-klaviyo \
    --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue" --output text
}
"#;

/// The changed one has its new value, one that was not named its old one.
const AFTER_A_CHANGE: &str = r#"
[ "$(parameter Settings)" = '{"metric_prefix":""}' ]
[ "$(parameter SecretArn)" = "$SECRET_ARN" ]
come_to changed
"#;

/// Somebody has gone on with the code since it was cloned.
const BEFORE_AN_UPDATE: &str = r#"
somebody commit --quiet --allow-empty --message "The second"
"#;

/// The update had something to pull, and rolling back left it.
const AFTER_ROLLING_BACK: &str = r#"
[ "$(git rev-parse HEAD)" = "$BEFORE" ]
[ "$(git -C "$REPOSITORY" rev-parse HEAD)" != "$BEFORE" ]
come_to updated
"#;

/// The blocks that run, each with what a person does at it.
pub(crate) fn script(blocks: &[Block]) -> String {
    let mut script = PERSON.to_owned();
    let run_here = blocks.iter().filter(|block| block.not_run.is_none());
    for (number, block) in run_here.enumerate() {
        let commands = block.commands.replace("sam deploy --guided", "sam deploy --guided < <(answers)");
        let has = |words: &str| block.commands.contains(words);
        script.push_str(&format!("echo '== block {number}'\n"));
        script.push_str(if has("git pull") { BEFORE_AN_UPDATE } else { "" });
        match has("read -rsp") {
            true => script.push_str(&format!("{{\n{commands}\n}} < <(typed)\n")),
            false => script.push_str(&format!("{commands}\n")),
        }
        script.push_str(match () {
            () if has("WEBHOOK_URL=") => "come_to deployed\n",
            () if has("send-sample") => "come_to checked\n",
            () if has("lean.yaml") => "come_to lean\n",
            () if has("metric_prefix") => AFTER_A_CHANGE,
            () if has("--detach") => AFTER_ROLLING_BACK,
            () => "",
        });
    }
    script
}

#[test]
fn a_block_knows_why_it_is_not_run() {
    let blocks = of("text\n\n```sh\none\ntwo\n```\n\n<!-- not run: it takes too long here -->\n```sh\nthree\n```\n");
    let found: Vec<_> = blocks.iter().map(|block| (block.commands.as_str(), block.not_run.as_deref())).collect();
    assert_eq!(found, [("one\ntwo", None), ("three", Some("it takes too long here"))]);
}
