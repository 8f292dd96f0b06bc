//! Every behaviour over every implementation, the page, and the counts.

use std::fs;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use millstream_parity::differences::{self, DIFFERENCES};
use millstream_parity::implementation::Implementation;
use millstream_parity::kernel::behaviour::cases;
use millstream_parity::page::{self, answer};
use millstream_parity::{absent, signatures, tokio_source};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("the_page_is_current", the_page_is_current),
        Trial::test("there_are_enough_behaviours", there_are_enough),
        Trial::test("differences_have_cases", differences_have_cases),
        Trial::test("every_method_of_tokio_is_listed", every_method_is_listed),
    ];
    let all = cases();
    for implementation in Implementation::ALL {
        for (number, case) in all.iter().enumerate() {
            let case = format!("{}::{}", case.theme, case.name);
            let name = format!("{}::{case}", implementation.name());
            trials.push(Trial::test(name, move || {
                compare(implementation, number, &case)
            }));
        }
        if !arguments.list {
            println!("{}: {} behaviours", implementation.name(), all.len());
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn compare(implementation: Implementation, number: usize, case: &str) -> Result<(), Failed> {
    let kernels = answer(&Implementation::Kernel.run(number)?);
    if implementation == Implementation::Kernel {
        return Ok(());
    }
    let ours = answer(&implementation.run(number)?);
    let expected = differences::of(case).map_or(&*kernels, |difference| difference.ours);
    if differences::of(case).is_some() && kernels == expected {
        return Err("the declared difference does not exist".into());
    }
    if ours != expected {
        return Err(
            format!("\n  expected: {expected}\n  ours:     {ours}\n  kernel:   {kernels}").into(),
        );
    }
    Ok(())
}

fn the_page_is_current() -> Result<(), Failed> {
    if fs::read_to_string(page::path())? == page::make()? {
        return Ok(());
    }
    Err("docs/parity.md is outdated: cargo run -p millstream-parity -- write".into())
}

fn there_are_enough() -> Result<(), Failed> {
    let count = cases().len();
    if count >= 200 {
        return Ok(());
    }
    Err(format!("{count} behaviours are fewer than 200").into())
}

fn every_method_is_listed() -> Result<(), Failed> {
    let listed: Vec<_> = [signatures::METHODS, absent::METHODS].concat();
    let methods = tokio_source::methods()?;
    if methods.len() < 100 {
        return Err(format!("found only {} methods of tokio", methods.len()).into());
    }
    let is_listed = |(of, name): &&(String, String)| listed.contains(&(&**of, &**name));
    let missing: Vec<_> = methods.iter().filter(|method| !is_listed(method)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("in neither signatures.rs nor absent.rs: {missing:?}").into())
}

fn differences_have_cases() -> Result<(), Failed> {
    let names: Vec<_> = cases()
        .iter()
        .map(|c| format!("{}::{}", c.theme, c.name))
        .collect();
    for difference in DIFFERENCES {
        if !names.iter().any(|name| name == difference.case) {
            return Err(format!("{} is no case", difference.case).into());
        }
    }
    Ok(())
}
