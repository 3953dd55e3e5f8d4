//! The package as a whole: what a test asks for, and the file it becomes.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::dependency::{self, Dependency};
use crate::file::{self, File, hex};
use crate::header::{self, Header, Value};
use crate::payload::{self, Compressor};
use crate::tag;

/// Build, file and changelog time unless said otherwise: 2024-01-01T00:00:00Z.
const TIME: u32 = 1_704_067_200;
/// `RPMSENSE_RPMLIB | LESS | EQUAL`.
const RPMLIB: u32 = 1 << 24 | 1 << 1 | 1 << 3;

/// One kind of dependency and the tags of its name, flags and version arrays.
type DependencyTags = [u32; 3];
const PROVIDES: DependencyTags = [tag::PROVIDENAME, tag::PROVIDEFLAGS, tag::PROVIDEVERSION];
const REQUIRES: DependencyTags = [tag::REQUIRENAME, tag::REQUIREFLAGS, tag::REQUIREVERSION];
const CONFLICTS: DependencyTags = [tag::CONFLICTNAME, tag::CONFLICTFLAGS, tag::CONFLICTVERSION];
const OBSOLETES: DependencyTags = [tag::OBSOLETENAME, tag::OBSOLETEFLAGS, tag::OBSOLETEVERSION];
const SUGGESTS: DependencyTags = [tag::SUGGESTNAME, tag::SUGGESTFLAGS, tag::SUGGESTVERSION];
const ENHANCES: DependencyTags = [tag::ENHANCENAME, tag::ENHANCEFLAGS, tag::ENHANCEVERSION];
const RECOMMENDS: DependencyTags = [tag::RECOMMENDNAME, tag::RECOMMENDFLAGS, tag::RECOMMENDVERSION];
const SUPPLEMENTS: DependencyTags = [tag::SUPPLEMENTNAME, tag::SUPPLEMENTFLAGS, tag::SUPPLEMENTVERSION];
const OLD_SUGGESTS: DependencyTags = [tag::OLDSUGGESTSNAME, tag::OLDSUGGESTSFLAGS, tag::OLDSUGGESTSVERSION];
const OLD_ENHANCES: DependencyTags = [tag::OLDENHANCESNAME, tag::OLDENHANCESFLAGS, tag::OLDENHANCESVERSION];

/// An RPM file to be. Methods add to it; [`Rpm::build`] gives the bytes.
///
/// Files are written in the order given; `rpm -i` finds them by bisection, so give them sorted
/// by path when the package is to be installed.
#[derive(Debug, Clone)]
pub struct Rpm {
    header: Header,
    nevra: [Vec<u8>; 4],
    epoch: Option<u32>,
    source: bool,
    self_provides: bool,
    dependencies: Vec<(DependencyTags, Vec<Dependency>)>,
    files: Vec<File>,
    changelogs: Vec<(u32, Vec<u8>, Vec<u8>)>,
    installed_bytes: Option<u64>,
    archive_bytes: Option<u64>,
    content_bytes: Option<u64>,
    region: bool,
    compressor: Compressor,
    payload: Option<Vec<u8>>,
    overrides: Vec<(u32, Option<Value>)>,
    signature_overrides: Vec<(u32, Option<Value>)>,
    behind_signatures: Vec<(u32, Value)>,
    signature_trailer: u32,
    truncate_to: Option<usize>,
    flips: Vec<usize>,
}

impl Rpm {
    /// A binary package without files.
    pub fn new(
        name: impl AsRef<[u8]>,
        version: impl AsRef<[u8]>,
        release: impl AsRef<[u8]>,
        arch: impl AsRef<[u8]>,
    ) -> Self {
        let mut header = Header::default();
        header.set(tag::HEADERI18NTABLE, Value::texts(["C"]));
        header.set(tag::SUMMARY, Value::Locales(vec![b"A test package".to_vec()]));
        header.set(tag::DESCRIPTION, Value::Locales(vec![b"It is made for tests.".to_vec()]));
        header.set(tag::GROUP, Value::Locales(vec![b"Unspecified".to_vec()]));
        header.set(tag::LICENSE, Value::text("Apache-2.0"));
        header.set(tag::BUILDTIME, Value::int32(TIME));
        header.set(tag::BUILDHOST, Value::text("forge.example"));
        header.set(tag::OS, Value::text("linux"));
        header.set(tag::RPMVERSION, Value::text("4.18.0"));
        header.set(tag::ENCODING, Value::text("utf-8"));
        header.set(tag::PAYLOADFORMAT, Value::text("cpio"));
        Self {
            header,
            nevra: [name.as_ref(), version.as_ref(), release.as_ref(), arch.as_ref()].map(<[u8]>::to_vec),
            epoch: None,
            source: false,
            self_provides: true,
            dependencies: Vec::new(),
            files: Vec::new(),
            changelogs: Vec::new(),
            installed_bytes: None,
            archive_bytes: None,
            content_bytes: None,
            region: true,
            compressor: Compressor::Gzip,
            payload: None,
            overrides: Vec::new(),
            signature_overrides: Vec::new(),
            behind_signatures: Vec::new(),
            signature_trailer: tag::HEADERSIGNATURES,
            truncate_to: None,
            flips: Vec::new(),
        }
    }

    /// Sets EPOCH.
    #[must_use]
    pub fn epoch(mut self, epoch: u32) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Makes it a source package: SOURCEPACKAGE instead of SOURCERPM, no provides of its own.
    #[must_use]
    pub fn source(mut self) -> Self {
        self.source = true;
        self.self_provides = false;
        self
    }

    /// Leaves out `name = evr` and `name(arch) = evr`.
    #[must_use]
    pub fn without_self_provides(mut self) -> Self {
        self.self_provides = false;
        self
    }

    /// Sets SUMMARY.
    #[must_use]
    pub fn summary(self, text: impl AsRef<[u8]>) -> Self {
        self.set(tag::SUMMARY, Value::Locales(vec![text.as_ref().to_vec()]))
    }

    /// Sets DESCRIPTION.
    #[must_use]
    pub fn description(self, text: impl AsRef<[u8]>) -> Self {
        self.set(tag::DESCRIPTION, Value::Locales(vec![text.as_ref().to_vec()]))
    }

    /// Sets GROUP.
    #[must_use]
    pub fn group(self, text: impl AsRef<[u8]>) -> Self {
        self.set(tag::GROUP, Value::Locales(vec![text.as_ref().to_vec()]))
    }

    /// Sets LICENSE.
    #[must_use]
    pub fn license(self, text: impl AsRef<[u8]>) -> Self {
        self.set(tag::LICENSE, Value::text(text))
    }

    /// Sets VENDOR.
    #[must_use]
    pub fn vendor(self, text: impl AsRef<[u8]>) -> Self {
        self.set(tag::VENDOR, Value::text(text))
    }

    /// Sets PACKAGER.
    #[must_use]
    pub fn packager(self, text: impl AsRef<[u8]>) -> Self {
        self.set(tag::PACKAGER, Value::text(text))
    }

    /// Sets URL.
    #[must_use]
    pub fn url(self, text: impl AsRef<[u8]>) -> Self {
        self.set(tag::URL, Value::text(text))
    }

    /// Sets BUILDHOST.
    #[must_use]
    pub fn buildhost(self, text: impl AsRef<[u8]>) -> Self {
        self.set(tag::BUILDHOST, Value::text(text))
    }

    /// Sets BUILDTIME, in seconds.
    #[must_use]
    pub fn build_time(self, seconds: u32) -> Self {
        self.set(tag::BUILDTIME, Value::int32(seconds))
    }

    /// Adds a provide.
    #[must_use]
    pub fn provides(self, dependency: impl Into<Dependency>) -> Self {
        self.dependency(PROVIDES, dependency)
    }

    /// Adds a requirement.
    #[must_use]
    pub fn requires(self, dependency: impl Into<Dependency>) -> Self {
        self.dependency(REQUIRES, dependency)
    }

    /// Adds a conflict.
    #[must_use]
    pub fn conflicts(self, dependency: impl Into<Dependency>) -> Self {
        self.dependency(CONFLICTS, dependency)
    }

    /// Adds an obsolete.
    #[must_use]
    pub fn obsoletes(self, dependency: impl Into<Dependency>) -> Self {
        self.dependency(OBSOLETES, dependency)
    }

    /// Adds a suggestion.
    #[must_use]
    pub fn suggests(self, dependency: impl Into<Dependency>) -> Self {
        self.dependency(SUGGESTS, dependency)
    }

    /// Adds an enhancement.
    #[must_use]
    pub fn enhances(self, dependency: impl Into<Dependency>) -> Self {
        self.dependency(ENHANCES, dependency)
    }

    /// Adds a recommendation.
    #[must_use]
    pub fn recommends(self, dependency: impl Into<Dependency>) -> Self {
        self.dependency(RECOMMENDS, dependency)
    }

    /// Adds a supplement.
    #[must_use]
    pub fn supplements(self, dependency: impl Into<Dependency>) -> Self {
        self.dependency(SUPPLEMENTS, dependency)
    }

    /// Adds to the weak dependencies of old SUSE packages (tags 1156-1158).
    #[must_use]
    pub fn old_suggests(self, dependency: impl Into<Dependency>) -> Self {
        self.dependency(OLD_SUGGESTS, dependency)
    }

    /// Adds to the reverse weak dependencies of old SUSE packages (tags 1159-1161).
    #[must_use]
    pub fn old_enhances(self, dependency: impl Into<Dependency>) -> Self {
        self.dependency(OLD_ENHANCES, dependency)
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, file: impl Into<File>) -> Self {
        self.files.push(file.into());
        self
    }

    /// Adds a changelog entry; real packages give the newest first.
    #[must_use]
    pub fn changelog(mut self, seconds: u32, author: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> Self {
        self.changelogs.push((seconds, author.as_ref().to_vec(), text.as_ref().to_vec()));
        self
    }

    /// Claims an installed size: SIZE, or LONGSIZE beyond 4 GiB.
    #[must_use]
    pub fn installed_bytes(mut self, bytes: u64) -> Self {
        self.installed_bytes = Some(bytes);
        self
    }

    /// Claims an uncompressed payload size in the signature header (long form beyond 4 GiB).
    #[must_use]
    pub fn archive_bytes(mut self, bytes: u64) -> Self {
        self.archive_bytes = Some(bytes);
        self
    }

    /// Claims a size of main header and payload in the signature header (long form beyond
    /// 4 GiB), so that the file looks truncated or too long.
    #[must_use]
    pub fn content_bytes(mut self, bytes: u64) -> Self {
        self.content_bytes = Some(bytes);
        self
    }

    /// How the payload is compressed; gzip unless said otherwise.
    #[must_use]
    pub fn compressor(mut self, compressor: Compressor) -> Self {
        self.compressor = compressor;
        self
    }

    /// Uses these bytes as the (compressed) payload instead of an archive of the files.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// Sets any tag of the main header, over everything that forge would write.
    #[must_use]
    pub fn tag(mut self, tag: u32, value: Value) -> Self {
        self.overrides.push((tag, Some(value)));
        self
    }

    /// Leaves a tag out of the main header.
    #[must_use]
    pub fn without_tag(mut self, tag: u32) -> Self {
        self.overrides.push((tag, None));
        self
    }

    /// Sets any tag of the signature header.
    #[must_use]
    pub fn signature_tag(mut self, tag: u32, value: Value) -> Self {
        self.signature_overrides.push((tag, Some(value)));
        self
    }

    /// Leaves a tag out of the signature header.
    #[must_use]
    pub fn without_signature_tag(mut self, tag: u32) -> Self {
        self.signature_overrides.push((tag, None));
        self
    }

    /// Adds a tag to the signature header behind its region, as some signing servers do with file
    /// signatures.
    #[must_use]
    pub fn behind_signatures(mut self, tag: u32, value: Value) -> Self {
        self.behind_signatures.push((tag, value));
        self
    }

    /// Ends the signature header's region with this number; 61 in some old packages.
    #[must_use]
    pub fn signature_trailer(mut self, tag: u32) -> Self {
        self.signature_trailer = tag;
        self
    }

    /// Leaves out the immutable region of the main header, as packages from before rpm 4 do.
    #[must_use]
    pub fn without_region(mut self) -> Self {
        self.region = false;
        self
    }

    /// Cuts the finished file after `bytes` bytes.
    #[must_use]
    pub fn truncate_to(mut self, bytes: usize) -> Self {
        self.truncate_to = Some(bytes);
        self
    }

    /// Inverts the byte at `offset` of the finished file.
    #[must_use]
    pub fn flip(mut self, offset: usize) -> Self {
        self.flips.push(offset);
        self
    }

    /// The file name rpmbuild would give it.
    pub fn file_name(&self) -> String {
        let [name, version, release, arch] = self.nevra.each_ref().map(|part| String::from_utf8_lossy(part));
        let arch = if self.source { "src" } else { arch.as_ref() };
        format!("{name}-{version}-{release}.{arch}.rpm")
    }

    /// The file's bytes.
    pub fn build(&self) -> Vec<u8> {
        let archive = payload::archive(&self.files, TIME);
        let archive_bytes = self.archive_bytes.unwrap_or(archive.len() as u64);
        let archive_digest = hex(&Sha256::digest(&archive));
        let payload = self.payload.clone().unwrap_or_else(|| payload::compress(archive, self.compressor));
        let main = self.main_header(&payload, archive_digest);
        let signature = self.signature_header(&main, &payload, archive_bytes);

        let [name, version, release, _] = &self.nevra;
        let mut file = header::lead(&[&name[..], version, release].join(&b'-'), self.source);
        file.extend(signature);
        file.resize(file.len().next_multiple_of(8), 0);
        file.extend(main);
        file.extend(payload);
        for offset in &self.flips {
            file[*offset] ^= 0xff;
        }
        file.truncate(self.truncate_to.unwrap_or(file.len()));
        file
    }

    fn set(mut self, tag: u32, value: Value) -> Self {
        self.header.set(tag, value);
        self
    }

    fn dependency(mut self, tags: DependencyTags, dependency: impl Into<Dependency>) -> Self {
        let dependency = dependency.into();
        match self.dependencies.iter_mut().find(|(kind, _)| *kind == tags) {
            Some((_, list)) => list.push(dependency),
            None => self.dependencies.push((tags, vec![dependency])),
        }
        self
    }

    fn main_header(&self, payload: &[u8], archive_digest: String) -> Vec<u8> {
        let mut header = self.header.clone();
        let [name, version, release, arch] = &self.nevra;
        header.set(tag::NAME, Value::text(name));
        header.set(tag::VERSION, Value::text(version));
        header.set(tag::RELEASE, Value::text(release));
        header.set(tag::ARCH, Value::text(arch));
        if let Some(epoch) = self.epoch {
            header.set(tag::EPOCH, Value::int32(epoch));
        }
        if self.source {
            header.set(tag::SOURCEPACKAGE, Value::int32(1));
        } else {
            let source = [&name[..], b"-", version, b"-", release, b".src.rpm"].concat();
            header.set(tag::SOURCERPM, Value::Text(source));
            header.set(tag::PLATFORM, Value::Text([&arch[..], b"-forge-linux"].concat()));
        }
        self.write_dependencies(&mut header);
        file::write(&mut header, &self.files, TIME);
        self.write_changelogs(&mut header);
        let installed: u64 = self.files.iter().filter(|file| file.is_regular()).map(File::bytes).sum();
        let (number, value) = size_tag(self.installed_bytes.unwrap_or(installed), [tag::SIZE, tag::LONGSIZE]);
        header.set(number, value);
        if self.compressor == Compressor::Gzip {
            header.set(tag::PAYLOADCOMPRESSOR, Value::text("gzip"));
            header.set(tag::PAYLOADFLAGS, Value::text("6"));
        }
        header.set(tag::PAYLOADDIGEST, Value::texts([hex(&Sha256::digest(payload))]));
        header.set(tag::PAYLOADDIGESTALGO, Value::int32(8));
        if self.payload.is_none() {
            header.set(tag::PAYLOADDIGESTALT, Value::texts([archive_digest]));
        }
        apply(&mut header, &self.overrides);
        header.bytes(self.region.then_some(tag::HEADERIMMUTABLE))
    }

    /// Every kind of dependency, the package's own provides and rpm's `rpmlib()` requirements
    /// after those asked for.
    fn write_dependencies(&self, header: &mut Header) {
        let of = |tags: DependencyTags| {
            self.dependencies.iter().find(|(kind, _)| *kind == tags).map(|(_, list)| list.clone()).unwrap_or_default()
        };
        let mut provides = of(PROVIDES);
        if self.self_provides {
            let [name, version, release, arch] = &self.nevra;
            let mut evr = self.epoch.map(|epoch| format!("{epoch}:").into_bytes()).unwrap_or_default();
            evr.extend([&version[..], b"-", release].concat());
            let own = |name: &[u8]| Dependency::new(name).flags(1 << 3).version(&evr);
            provides.push(own(name));
            if &arch[..] != b"noarch" {
                let isa: &[u8] = if arch.ends_with(b"64") { b"-64" } else { b"-32" };
                let family: &[u8] = if &arch[..] == b"x86_64" { b"x86" } else { arch };
                provides.push(own(&[&name[..], b"(", family, isa, b")"].concat()));
            }
        }
        let mut requires = of(REQUIRES);
        let rpmlib = |name: &str, version: &str| Dependency::new(name).flags(RPMLIB).version(version);
        requires.push(rpmlib("rpmlib(CompressedFileNames)", "3.0.4-1"));
        requires.push(rpmlib("rpmlib(FileDigests)", "4.6.0-1"));
        if self.files.iter().any(|file| file.bytes() > u64::from(u32::MAX)) {
            requires.push(rpmlib("rpmlib(LargeFiles)", "4.12.0-1"));
        }
        requires.push(rpmlib("rpmlib(PayloadFilesHavePrefix)", "4.0-1"));
        dependency::write(header, PROVIDES, &provides);
        dependency::write(header, REQUIRES, &requires);
        for (tags, list) in &self.dependencies {
            if *tags != PROVIDES && *tags != REQUIRES {
                dependency::write(header, *tags, list);
            }
        }
    }

    fn write_changelogs(&self, header: &mut Header) {
        let entries = || self.changelogs.iter();
        header.set_unless_empty(tag::CHANGELOGTIME, Value::Int32(entries().map(|entry| entry.0).collect()));
        header.set_unless_empty(tag::CHANGELOGNAME, Value::texts(entries().map(|entry| &entry.1)));
        header.set_unless_empty(tag::CHANGELOGTEXT, Value::texts(entries().map(|entry| &entry.2)));
    }

    fn signature_header(&self, main: &[u8], payload: &[u8], archive_bytes: u64) -> Vec<u8> {
        let mut header = Header::default();
        let content_bytes = self.content_bytes.unwrap_or((main.len() + payload.len()) as u64);
        for (number, value) in [
            size_tag(content_bytes, [tag::SIG_SIZE, tag::SIG_LONGSIZE]),
            size_tag(archive_bytes, [tag::SIG_PAYLOADSIZE, tag::SIG_LONGARCHIVESIZE]),
        ] {
            header.set(number, value);
        }
        header.set(tag::SIG_SHA1, Value::text(hex(&Sha1::digest(main))));
        header.set(tag::SIG_SHA256, Value::text(hex(&Sha256::digest(main))));
        let md5 = Md5::new().chain_update(main).chain_update(payload).finalize();
        header.set(tag::SIG_MD5, Value::Bytes(md5.to_vec()));
        apply(&mut header, &self.signature_overrides);
        header.bytes_with(Some((tag::HEADERSIGNATURES, self.signature_trailer)), &self.behind_signatures)
    }
}

fn apply(header: &mut Header, overrides: &[(u32, Option<Value>)]) {
    for (tag, value) in overrides {
        match value {
            Some(value) => header.set(*tag, value.clone()),
            None => header.remove(*tag),
        }
    }
}

/// The 32-bit tag while the number fits, else the 64-bit one.
fn size_tag(bytes: u64, [short, long]: [u32; 2]) -> (u32, Value) {
    match u32::try_from(bytes) {
        Ok(bytes) => (short, Value::int32(bytes)),
        Err(_) => (long, Value::Int64(vec![bytes])),
    }
}
