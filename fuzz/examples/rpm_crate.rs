//! A second opinion for `just corpus`: what the `rpm` crate makes of a package's headers, in a process
//! of its own, for on some files it aborts.

use std::process::ExitCode;

use rpm::PackageMetadata;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("which package?");
        return ExitCode::from(2);
    };
    let read = PackageMetadata::open(path).and_then(|package| {
        let name = package.get_nevra()?.to_string();
        Ok((name, package.get_file_entries()?.len()))
    });
    match read {
        Ok((name, files)) => {
            println!("{name}: {files} files");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
