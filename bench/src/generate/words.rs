//! What names, texts and paths are made of.

pub(super) const TEAMS: [&str; 8] =
    ["base", "build", "data", "desktop", "infra", "platform", "security", "third-party/mirror"];

pub(super) const PREFIXES: [&str; 12] =
    ["", "", "", "", "lib", "lib", "python3-", "perl-", "golang-", "rust-", "texlive-", "nodejs-"];

pub(super) const NAMES: [&str; 64] = [
    "acorn", "amber", "anvil", "arrow", "aspen", "atlas", "badger", "basalt", "beacon", "birch", "bramble", "cedar",
    "cobalt", "comet", "copper", "coral", "crane", "delta", "drift", "ember", "falcon", "fern", "flint", "gable",
    "garnet", "glacier", "harbor", "hazel", "heron", "indigo", "iron", "jasper", "juniper", "kestrel", "lantern",
    "larch", "ledger", "lumen", "magnet", "maple", "marlin", "meadow", "mosaic", "nectar", "nimbus", "oak", "onyx",
    "orbit", "osprey", "pebble", "pepper", "pilot", "prism", "quartz", "raven", "reef", "saffron", "sable", "signal",
    "tundra", "umber", "vector", "walnut", "zephyr",
];

pub(super) const SUFFIXES: [&str; 12] =
    ["", "", "", "-libs", "-devel", "-doc", "-common", "-utils", "-server", "-plugins", "-langpack", "++"];

pub(super) const LICENSES: [&str; 6] =
    ["MIT", "Apache-2.0", "GPL-2.0-or-later", "LGPL-2.1-only", "BSD-3-Clause", "MPL-2.0"];

pub(super) const FOLDERS: [&str; 14] = [
    "/usr/bin",
    "/usr/lib64",
    "/usr/share/doc",
    "/usr/share/man/man1",
    "/usr/share/man/man3",
    "/usr/share/locale",
    "/usr/include",
    "/usr/libexec",
    "/usr/share/icons/hicolor/48x48/apps",
    "/usr/lib/python3.11/site-packages",
    "/etc",
    "/usr/src/debug",
    "/usr/share/licenses",
    "/usr/lib/systemd/system",
];

pub(super) const ENDINGS: [&str; 12] =
    ["", ".so.1", ".h", ".py", ".1.gz", ".html", ".mo", ".conf", ".png", ".txt", ".xml", ".service"];

pub(super) const TEXT: [&str; 40] = [
    "a",
    "the",
    "of",
    "and",
    "fast",
    "small",
    "library",
    "for",
    "reading",
    "writing",
    "files",
    "network",
    "protocol",
    "with",
    "support",
    "documents",
    "graphics",
    "parser",
    "tool",
    "that",
    "converts",
    "between",
    "formats",
    "service",
    "daemon",
    "which",
    "collects",
    "metrics",
    "&",
    "<fast>",
    "\"quoted\"",
    "schnörkellos",
    "español",
    "データ",
    "библиотека",
    "naïve",
    "version",
    "bindings",
    "system",
    "is",
];

pub(super) const AUTHORS: [&str; 8] = [
    "Ada Example <ada@example.com>",
    "Bjørn Ødegård <bjorn@example.com>",
    "Chloé Dupont <chloe@example.com>",
    "Dmitri Example <dmitri@example.com>",
    "山田 太郎 <taro@example.com>",
    "Eve Example <eve@example.com>",
    "Żaneta Łoś <zaneta@example.com>",
    "build robot <robot@example.com>",
];

pub(super) const CHANGES: [&str; 10] = [
    "- rebuilt for the new toolchain",
    "- new version",
    "- fix crash when the configuration is empty",
    "- security fix for an overflow (CVE-2024-0001)",
    "- drop unused build requirement",
    "- Übersetzungen aktualisiert",
    "- исправлена ошибка",
    "- move \"data\" files to their own <package>",
    "- enable tests & documentation",
    "- backport patch from upstream…",
];
