//! Name, epoch, version, release and architecture: what a package is called.

use std::fmt;

use crate::evr::Evr;

/// A package's full name. Two packages with equal `Nevra` are the same package to a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nevra {
    /// NAME.
    pub name: String,
    /// EPOCH, VERSION, RELEASE.
    pub evr: Evr,
    /// ARCH, or `src` for every source package.
    pub arch: String,
}

impl fmt::Display for Nevra {
    /// `name-[epoch:]version-release.arch`, as dnf prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{}", self.name, self.evr, self.arch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_of_zero_is_not_shown() {
        let nevra = |epoch| Nevra {
            name: "a-b".to_owned(),
            evr: Evr { epoch, version: "1.0~rc1".to_owned(), release: "2".to_owned() },
            arch: "src".to_owned(),
        };
        assert_eq!(nevra(0).to_string(), "a-b-1.0~rc1-2.src");
        assert_eq!(nevra(1).to_string(), "a-b-1:1.0~rc1-2.src");
    }
}
