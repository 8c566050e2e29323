//! Those who watch many hosts. `cargo xtask deploy monitors` writes what they find.

use anyhow::{Result, ensure};
use healthboard_e2e::Setup;
use healthboard_e2e::deploy::monitors::{
    Noticed, check_files, check_nagios, icinga, lose_an_agent, node_exporter, prometheus, zabbix,
};
use healthboard_e2e::deploy::pages;

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn every_file_is_accepted_by_the_program_that_reads_it() -> Result<()> {
    let setup = Setup::open()?;
    check_files(&setup)?;
    check_nagios(&setup)?;
    node_exporter(&setup)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn one_broken_database_on_two_hosts_is_one_notification_that_names_it() -> Result<()> {
    names_the_database(&prometheus(&Setup::open()?, None, |_| Ok(()))?)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_host_whose_agent_is_killed_is_not_said_to_be_well() -> Result<()> {
    lose_an_agent(&Setup::open()?, |_| Ok(()))
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn icinga_sees_a_broken_database_and_its_mend() -> Result<()> {
    names_the_database(&icinga(&Setup::open()?, |_| Ok(()))?)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn zabbix_imports_the_template_and_sees_a_broken_database_its_mend_and_what_is_gone() -> Result<()> {
    names_the_database(&zabbix(&Setup::open()?, |_| Ok(()))?)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn every_page_is_right_and_accessible_in_light_in_dark_and_on_a_phone() -> Result<()> {
    let pictures = tempfile::tempdir()?;
    pages::open(&Setup::open()?, pictures.path(), |_| Ok(()))
}

fn names_the_database(noticed: &Noticed) -> Result<()> {
    ensure!(noticed.said.contains("database"), "{noticed:?}");
    Ok(())
}
