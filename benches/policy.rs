//! What a decision about one call costs, by how many rules the agent has.

use analyzer_core::policy::{Call, Outcome, Permission, Policy, Rule, Rules, Target};

fn main() {
    divan::main();
}

/// Rules about one host, the worst case: a resource each, in turn exact, open, and with a wildcard inside.
fn rules(count: usize) -> Rules {
    let rule = |n: usize| {
        let path = match n % 3 {
            0 => format!("v1/resource{n}"),
            1 => format!("v1/resource{n}/*"),
            _ => format!("v1/resource{n}/*/refund"),
        };
        let permission = if n % 10 == 9 { Permission::ApprovalRequired } else { Permission::Allow };
        Rule::new(permission, format!("https://api.example.com/{path}")).for_operations(["GET", "POST"])
    };
    let policies = [Policy { name: "bench".into(), rules: (0..count).map(rule).collect() }];
    Rules::new(&policies).expect("they are rules")
}

const COUNTS: [usize; 4] = [1, 10, 100, 1_000];

#[divan::bench(args = COUNTS)]
fn decide(bencher: divan::Bencher, count: usize) {
    let rules = rules(count);
    let last = (0..count).rev().find(|n| n % 3 == 0 && n % 10 != 9).expect("0 is one");
    let target = Target::parse(&format!("https://api.example.com/v1/resource{last}")).expect("it is an address");
    assert_eq!(rules.decide(&Call::new("POST", &target)).outcome, Outcome::Allowed);
    bencher.bench(|| rules.decide(&Call::new("POST", &target)).outcome);
}

#[divan::bench(args = COUNTS)]
fn decide_what_no_rule_covers(bencher: divan::Bencher, count: usize) {
    let rules = rules(count);
    let target = Target::parse("https://api.example.com/v1/resource8/ch_1/dispute").expect("it is an address");
    assert_eq!(rules.decide(&Call::new("POST", &target)).outcome, Outcome::Denied);
    bencher.bench(|| rules.decide(&Call::new("POST", &target)).outcome);
}

/// Reading the address is the larger part: it is normalised in two ways.
#[divan::bench]
fn read_the_address() -> Target {
    let address = divan::black_box("https://api.example.com/v1/charges/ch_1/refund?expand=1");
    Target::parse(address).expect("it is an address")
}
