use super::*;

fn parsed(args: &str) -> Result<Command, Exit> {
    parse(format!("brooklet {args}").split(' ').map(OsString::from))
}

fn run_options(args: &str) -> Run {
    match parsed(args) {
        Ok(Command::Run(run)) => run,
        other => panic!("{args}: {other:?}"),
    }
}

fn forward_options(args: &str) -> Forward {
    match parsed(args) {
        Ok(Command::Forward(forward)) => forward,
        other => panic!("{args}: {other:?}"),
    }
}

#[test]
fn the_definition_of_the_arguments_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn flags_end_where_the_command_begins() {
    for args in [
        "run --mtu 9000 --no-offload --stats -- ls -l --stats",
        "run --stats --mtu=9000 --no-offload ls -l --stats",
    ] {
        let run = run_options(args);
        assert_eq!((run.mtu, run.observe.stats), (9000, Some(0)), "{args}");
        assert!(run.no_offload, "{args}");
        assert_eq!(run.command, ["ls", "-l", "--stats"], "{args}");
    }
    assert_eq!(run_options("run ls -- -l").command, ["ls", "--", "-l"]);
}

#[test]
fn the_defaults_of_each_command() {
    let run = run_options("run true");
    assert_eq!((run.mtu, run.observe.stats), (65_520, None));
    assert!(!run.no_offload);
    let forward = forward_options("forward --tun t0");
    assert_eq!((forward.mtu, forward.queues), (1500, 1));
    assert!(!forward.offload);
    let router = forward.router();
    assert_eq!(router.ipv4.to_string(), "192.0.0.8");
    assert_eq!(router.ipv6.to_string(), "fe80::1");
}

#[test]
fn the_times_are_those_of_the_relay_by_default() {
    use brooklet_relay::Limits;
    let limits = Limits::default();
    let forward = forward_options("forward --tun t0");
    assert_eq!(forward.timeouts.set(limits), limits);
    assert_eq!(run_options("run true").timeouts.set(limits), limits);
    let flags = "--keepalive 1 --keepalive-timeout 2 --half-close-timeout 3";
    let run = run_options(&format!("run {flags} true"));
    let limits = run.timeouts.set(limits);
    let keepalive = limits.keepalive.expect("a keepalive");
    let times = [keepalive.idle, keepalive.timeout, limits.half_close];
    assert_eq!(times.map(|time| time.as_secs()), [1, 2, 3]);
}

#[test]
fn each_family_has_a_router() {
    let forward = forward_options("forward --tun t0 --router fd00::1 --router 10.0.0.1");
    let router = forward.router();
    assert_eq!(router.ipv4.to_string(), "10.0.0.1");
    assert_eq!(router.ipv6.to_string(), "fd00::1");
}

#[test]
fn stats_takes_seconds_only_after_an_equals_sign() {
    let run = run_options("run --stats=5 ls");
    assert_eq!(run.observe.interval().map(|time| time.as_secs()), Some(5));
    let run = run_options("run --stats 5 ls");
    assert_eq!(run.observe.interval(), None);
    assert_eq!(run.command, ["5", "ls"]);
}

#[test]
fn a_fault_in_the_arguments_is_one_line_that_names_it() {
    for (args, status, about) in [
        ("run", 125, "COMMAND"),
        ("run --stats", 125, "COMMAND"),
        ("run --", 125, "COMMAND"),
        ("run --fast ls", 125, "--fast"),
        ("run --no-offlod ls", 125, "--no-offload"),
        ("run --mtu 1000 ls", 125, "1280"),
        ("run --mtu 500 --no-ipv6 ls", 125, "576"),
        ("run --mtu 70000 ls", 125, "70000"),
        ("run --metrics nowhere ls", 125, "nowhere"),
        ("run --capture-paused ls", 125, "--capture "),
        ("forward", 2, "--tun"),
        ("forward --tun", 2, "--tun"),
        ("forward --tun t0 --mtu 1000", 2, "1280"),
        ("forward --tun t0 --queues 0", 2, "queues"),
        ("forward --tun t0 --router here", 2, "here"),
        ("forward --tun t0 ls", 2, "ls"),
    ] {
        let exit = parsed(args).expect_err(args);
        assert_eq!(exit.status, status, "{args}");
        let (line, rest) = exit.text.split_once('\n').expect("a line");
        assert_eq!(rest, "", "{args}: {}", exit.text);
        assert!(line.contains(about), "{args}: {line}");
        let command = args.split(' ').next().expect("a command");
        let start = format!("brooklet {command}: ");
        let end = format!("; `brooklet {command} --help` lists the flags");
        assert!(line.starts_with(&start), "{args}: {line}");
        assert!(line.ends_with(&end), "{args}: {line}");
    }
    let exit = parsed("frward --tun t0").expect_err("no command");
    assert!(exit.text.contains("forward"), "{}", exit.text);
    assert_eq!((exit.text.lines().count(), exit.status), (1, 2));
}

#[test]
fn no_command_shows_the_commands() {
    let exit = parse(["brooklet".into()]).expect_err("no command");
    assert_eq!(exit.status, 2);
    assert!(exit.text.contains("forward"), "{}", exit.text);
}

#[test]
fn help_is_no_error_and_fits_a_terminal() {
    for (args, about) in [
        ("--help", "completions"),
        ("-h", "completions"),
        ("help", "completions"),
        ("run --help", "--publish"),
        ("help run", "--publish"),
        ("forward --help", "192.0.0.8"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let exit = parsed(args).expect_err(args);
        assert_eq!(exit.status, 0, "{args}");
        assert!(exit.text.contains(about), "{args}: {}", exit.text);
        let long = exit.text.lines().find(|line| line.len() > 100);
        assert_eq!(long, None, "{args}");
    }
}

#[test]
fn the_manual_page_has_every_command_and_flag() {
    let text = man();
    let section = |name: &str| format!("\n.SH {name}\n");
    for name in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "\"BROOKLET RUN\"",
        "\"BROOKLET FORWARD\"",
    ] {
        assert!(text.contains(&section(name)), "no section {name}");
    }
    assert!(!text.contains("EXTRA"), "{text}");
    let mut args = Args::command();
    args.build();
    for command in args.get_subcommands() {
        for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
            let flag = format!("\\-\\-{}", flag.replace('-', "\\-"));
            assert!(text.contains(&flag), "no {flag}");
        }
    }
}

#[test]
fn the_completions_know_every_command() {
    use clap::ValueEnum;
    for shell in clap_complete::Shell::value_variants() {
        let text = completions(*shell);
        for word in ["forward", "run", "offload"] {
            assert!(text.contains(word), "{shell}: no {word}");
        }
    }
}

#[test]
fn a_namespace_is_served_in_place_of_a_command() {
    let run = run_options("run --netns 4711 --userns /proc/4711/ns/user --ready-fd 3 -p 80:80");
    assert_eq!(run.netns.as_deref(), Some("4711".as_ref()));
    assert_eq!((run.ready_fd, run.publish.len()), (Some(3), 1));
    for (args, about) in [
        ("run --netns 4711 ls", "COMMAND"),
        ("run --ready-fd 3 ls", "--netns"),
        ("run --userns /proc/1/ns/user ls", "--netns"),
        ("run -p 80 ls", "HOSTPORT:PORT"),
    ] {
        let exit = parsed(args).expect_err(args);
        assert_eq!(exit.status, 125, "{args}");
        assert!(exit.text.contains(about), "{args}: {}", exit.text);
        assert_eq!(exit.text.lines().count(), 1, "{args}: {}", exit.text);
    }
}
