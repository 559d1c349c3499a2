//! Keys are kept, protected and never shown.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const SECRET: &str = "0x0000000000000000000000000000000000000000000000000000000000000001";

fn import(folder: &Path, role: Role, from: &Path) -> anyhow::Result<u8> {
    let place = Place { folder: folder.to_owned(), passphrase_file: None, json: false };
    let (from, from_passphrase_file) = (from.to_owned(), None);
    run(Arguments { what: What::Import { place, role, from, from_passphrase_file, plain: true } })
}

fn code(error: &anyhow::Error) -> &'static str {
    error.downcast_ref::<Coded>().unwrap().code()
}

#[test]
fn created_keys_are_loaded_again_private_and_different() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let public = create(&a).unwrap();
    let keys = load(&a).unwrap();
    assert_eq!(keys.public().unwrap(), public);
    assert_eq!(public.bls.as_ref().map(Vec::len), Some(256));
    assert_ne!(create(&b).unwrap().operator, public.operator);
    let mut files = 0;
    for file in fs::read_dir(&a).unwrap() {
        let meta = file.unwrap().metadata().unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        files += 1;
    }
    assert_eq!(files, 3);
    assert!(keys.check_chain(DEVNET_CHAIN).is_ok());
    assert_eq!(keys.check_chain(1).unwrap_err().code(), "IDN-006");
}

#[test]
fn existing_keys_are_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("keys");
    let public = create(&folder).unwrap();
    assert_eq!(create(&folder).unwrap_err().code(), "IDN-002");
    assert_eq!(load(&folder).unwrap().public().unwrap(), public);
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("keys");
    create(&folder).unwrap();
    fs::set_permissions(folder.join("mesh.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let error = load(&folder).map(drop).unwrap_err();
    assert_eq!(error.code(), "STO-002");
    assert_eq!(crate::error::exit_code(&error.into()), 78);
}

#[test]
fn an_imported_secret_has_its_known_address() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, from) = (dir.path().join("keys"), dir.path().join("from"));
    fs::write(&from, format!("# a comment\n{SECRET}\n")).unwrap();
    for role in Role::ALL {
        import(&folder, role, &from).unwrap();
    }
    // The address of the secret 1, as every Ethereum library derives it.
    let known = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf";
    assert_eq!(load(&folder).unwrap().public().unwrap().operator.to_string(), known);
}

#[test]
fn what_is_no_key_is_refused_without_showing_it() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, from) = (dir.path().join("keys"), dir.path().join("from"));
    for text in ["", "0x00ff", &SECRET[..64], &format!("{SECRET}\n{SECRET}"), &"0".repeat(64)] {
        fs::write(&from, text).unwrap();
        let error = import(&folder, Role::Operator, &from).unwrap_err();
        assert_eq!(code(&error), "IDN-005", "{text}");
        assert!(text.is_empty() || !error.to_string().contains(text));
    }
    assert_eq!(code(&import(&folder, Role::Mesh, Path::new("/no/file")).unwrap_err()), "IDN-001");
    assert_eq!(load(&folder).map(drop).unwrap_err().code(), "IDN-001");
}

#[test]
fn encrypted_keys_need_their_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("keys");
    let (right, wrong) = (dir.path().join("right"), dir.path().join("wrong"));
    fs::write(&right, "correct horse battery\n").unwrap();
    fs::write(&wrong, "too short\n").unwrap();
    let passphrase = |path: &Path| Passphrase::from(Some(path.to_owned()));
    assert_eq!(passphrase(&wrong).for_new().map(drop).unwrap_err().code(), "IDN-003");
    let protection = passphrase(&right).for_new().unwrap();
    let secret = Zeroizing::new([9; 32]);
    files::write(&folder, Role::Mesh, &secret, &protection).unwrap();
    assert!(!fs::read_to_string(folder.join("mesh.json")).unwrap().contains("0909"));
    let found = files::read(&folder, Role::Mesh, &mut passphrase(&right)).unwrap().unwrap();
    assert_eq!((*found.secret, found.plain), ([9; 32], false));
    let error = files::read(&folder, Role::Mesh, &mut passphrase(&wrong)).map(drop).unwrap_err();
    assert_eq!(error.code(), "IDN-004");
}
