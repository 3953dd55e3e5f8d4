//! `yrm token`: who is let in through the gateway, and to what.

use clap::{ArgGroup, Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::beforehand::{Asked, BeforeTaking, Beforehand};
use super::context::{Context, DONE, Purpose, bucket_of};
use super::output::{Width, fitted, safe, time};
use super::summary::summary;
use super::which::{Rules, opened_to_change};
use crate::bucket::Bucket;
use crate::bucket::report::{Mark, Report};
use crate::bucket::tokens::{self, Holder, Scope, Token, TokenText, TokenUse};
use crate::config::parse;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::operations::token::Granting;

/// What stands for no end.
const NEVER: &str = "never";

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenVerb {
    /// Let somebody in: make a token, or name an AWS identity or a client certificate
    Create(CreateArgs),
    /// Show who is let in, to what, until when, and when they last came
    List(ListArgs),
    /// Show one
    Show(ShowArgs),
    /// Let nobody in by it any more
    Revoke(RevokeArgs),
}

/// What `token create` takes.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("holder").args(["arn", "certificate"])))]
pub(super) struct CreateArgs {
    /// A name: letters, digits, dots, hyphens and underscores
    #[arg(value_name = "NAME")]
    name: String,
    /// What it lets somebody do, such as read:el9/*, upload:team-a/*, operate or admin; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// How long it is valid, such as 90d, or never
    #[arg(long, value_name = "DURATION", default_value = "365d")]
    expires: String,
    /// No token: let in whoever AWS knows under this ARN, with * for what may be anything
    #[arg(long, value_name = "ARN")]
    arn: Option<String>,
    /// No token: let in whoever has a client certificate of this name, with * for what may be anything
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    #[command(flatten)]
    beforehand: Beforehand,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// What `token list` takes.
#[derive(Debug, Args)]
pub(super) struct ListArgs {}

/// What `token show` takes.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The name, as `yrm token list` shows it
    #[arg(value_name = "NAME")]
    name: String,
}

/// What `token revoke` takes.
#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The names, as `yrm token list` shows them
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    taking: BeforeTaking,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// A token that was made: the only time that its text is shown.
#[derive(Debug, Serialize)]
struct TokenMade {
    /// Its name.
    name: String,
    /// Its text; `null` for AWS identities and certificates, and for a dry run.
    token: Option<String>,
    /// What it lets somebody do, such as `read:el9/*`.
    scopes: Vec<String>,
    /// When it ends; `null` for never.
    expires: Option<Timestamp>,
    /// Whether it was only looked at.
    dry_run: bool,
}

/// Who is let in.
#[derive(Debug, Serialize)]
struct TokenShown {
    /// The name.
    name: String,
    /// What the text of the token begins with, after `yrm_`; `null` for AWS identities and certificates.
    id: Option<String>,
    /// The ARN that is let in, with * for what may be anything; `null` for tokens and certificates.
    arn: Option<String>,
    /// The name in a certificate that is let in, with * for what may be anything; `null` for tokens and AWS identities.
    certificate: Option<String>,
    /// What it lets somebody do, such as `read:el9/*`.
    scopes: Vec<String>,
    /// Since when.
    since: Timestamp,
    /// Who made it; `null` where nobody knows.
    by: Option<String>,
    /// Why, if that was said.
    reason: Option<String>,
    /// When it ends; `null` for never.
    expires: Option<Timestamp>,
    /// Whether its time is over.
    is_expired: bool,
    /// When it was last used, to the hour or so; `null` if that is not known.
    last_use: Option<Timestamp>,
    /// From which address.
    last_from: Option<String>,
}

/// Does what was asked.
pub(super) async fn execute(verb: &TokenVerb, context: &Context) -> Result<u8> {
    match verb {
        TokenVerb::Create(args) => create(args, context).await,
        TokenVerb::Revoke(args) => revoke(args, context).await,
        TokenVerb::List(_) => {
            let bucket = bucket_of(&context.open(Purpose::Looking).await?)?;
            let mut shown = Vec::new();
            for token in tokens::all(&bucket).await? {
                shown.push(with_use(&bucket, token).await?);
            }
            context.output.data(&shown, |shown| listed(shown, context.output.width()))?;
            Ok(DONE)
        }
        TokenVerb::Show(args) => {
            let bucket = bucket_of(&context.open(Purpose::Looking).await?)?;
            let Some(token) = tokens::named(&bucket, &args.name).await? else {
                return Err(tokens::unknown(&bucket, &args.name, "looking for").await);
            };
            let shown = with_use(&bucket, token).await?;
            context.output.data(&shown, told)?;
            Ok(DONE)
        }
    }
}

async fn create(args: &CreateArgs, context: &Context) -> Result<u8> {
    tokens::check_name(&args.name)?;
    let scopes = args.scopes.iter().map(|scope| scope.parse()).collect::<Result<Vec<Scope>>>()?;
    let expires = expires(&args.expires)?;
    let text = TokenText::new(rand::random());
    let holder = match (&args.arn, &args.certificate) {
        (Some(arn), _) => Holder::Aws { arn: arn_pattern(arn)? },
        (None, Some(subject)) => Holder::Certificate { subject: subject.clone() },
        (None, None) => Holder::Token { id: text.id().to_owned(), sha256: text.digest().to_string() },
    };
    let is_token = matches!(holder, Holder::Token { .. });
    let wanted = Granting { name: args.name.clone(), holder, scopes: scopes.clone(), expires };
    let opened = opened_to_change(context).await?;
    let asked = Asked::by(context, &opened, &args.rules.because);
    let granted = asked.operate(&args.beforehand, async |publisher, run| publisher.grant(&wanted, run).await);
    Box::pin(granted).await?;
    let dry_run = args.beforehand.dry_run;
    let token = (is_token && !dry_run).then(|| text.expose().to_owned());
    let scopes = scopes.iter().map(ToString::to_string).collect();
    let made = TokenMade { name: args.name.clone(), token, scopes, expires, dry_run };
    context.output.data(&made, made_for_people)?;
    Ok(DONE)
}

async fn revoke(args: &RevokeArgs, context: &Context) -> Result<u8> {
    let opened = opened_to_change(context).await?;
    let asked = Asked::by(context, &opened, &args.rules.because);
    let report: Report =
        Box::pin(asked.when_sure(&args.taking, async |publisher, run| publisher.revoke(&args.names, run).await))
            .await?;
    context.output.data(&report, summary)?;
    if report.plan.is_none() && report.marked.iter().any(|marked| marked.mark == Mark::Revoke) {
        context.output.hint("running gateways let nobody in by it within 5 seconds");
    }
    Ok(DONE)
}

/// When something made now ends.
fn expires(text: &str) -> Result<Option<Timestamp>> {
    if text == NEVER {
        return Ok(None);
    }
    let refuse = |why: String| {
        Error::new(ErrorKind::Config, format!("reading --expires {text:?}"))
            .because(why)
            .hint("such as 90d, 12h or never")
    };
    let valid = parse::duration(text).map_err(|complaint| refuse(complaint.message))?;
    let valid = SignedDuration::try_from(valid).map_err(|_| refuse("it is too long".to_owned()))?;
    let end = Timestamp::now().checked_add(valid).map_err(|_| refuse("it is too long".to_owned()))?;
    Ok(Some(end))
}

fn arn_pattern(text: &str) -> Result<String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let is_one = matches!(parts[..], ["arn", partition, "iam" | "sts", "", account, resource]
        if partition.starts_with("aws") && account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) && !resource.is_empty());
    if is_one {
        return Ok(text.to_owned());
    }
    Err(Error::new(ErrorKind::Config, format!("reading the ARN {text:?}"))
        .because("it names no identity of one account")
        .hint("such as arn:aws:iam::123456789012:role/builder, or arn:aws:iam::123456789012:role/ci-*"))
}

async fn with_use(bucket: &Bucket, token: Token) -> Result<TokenShown> {
    let used = tokens::last_use(bucket, &token.name).await?;
    let is_expired = token.is_over(Timestamp::now());
    let scopes = token.scopes.iter().map(ToString::to_string).collect();
    let Token { name, holder, since, by, reason, expires, .. } = token;
    let (mut id, mut arn, mut certificate) = (None, None, None);
    match holder {
        Holder::Token { id: named, .. } => id = Some(named),
        Holder::Aws { arn: named } => arn = Some(named),
        Holder::Certificate { subject } => certificate = Some(subject),
    }
    let (last_use, last_from) = used.map(|TokenUse { at, from }| (at, from)).unzip();
    Ok(TokenShown { name, id, arn, certificate, scopes, since, by, reason, expires, is_expired, last_use, last_from })
}

fn made_for_people(made: &TokenMade) -> String {
    let until = made.expires.map_or_else(|| NEVER.to_owned(), time);
    let facts = format!("{}  may {}, until {until}\n", made.name, made.scopes.join(", "));
    match &made.token {
        _ if made.dry_run => format!("{facts}Nothing was changed: --dry-run\n"),
        Some(token) => format!("{token}\n\n{facts}This is the only time that it is shown.\n"),
        None => facts,
    }
}

fn holder(shown: &TokenShown) -> String {
    match (&shown.id, &shown.arn, &shown.certificate) {
        (Some(id), ..) => format!("token yrm_{}…", safe(id)),
        (None, Some(arn), _) => safe(arn),
        (None, None, Some(name)) => format!("certificate {}", safe(name)),
        (None, None, None) => String::new(),
    }
}

fn until(shown: &TokenShown) -> String {
    match shown.expires {
        None => NEVER.to_owned(),
        Some(at) if shown.is_expired => format!("expired {}", time(at)),
        Some(at) => time(at),
    }
}

fn listed(shown: &[TokenShown], width: Width) -> String {
    if shown.is_empty() {
        return "nobody is let in: `yrm token create NAME --scope read` makes a token\n".to_owned();
    }
    let row = |one: &TokenShown| {
        let last = one.last_use.map_or_else(String::new, time);
        [one.name.clone(), one.scopes.join(", "), until(one), last, holder(one)]
    };
    fitted(width, ["name", "may", "until", "last use", "by"], shown.iter().map(row))
}

fn told(shown: &TokenShown) -> String {
    let made = shown.by.as_deref().map_or_else(String::new, |by| format!(" by {}", safe(by)));
    let why = shown.reason.as_deref().map_or_else(String::new, |reason| format!(": {}", safe(reason)));
    let last = match (shown.last_use, &shown.last_from) {
        (Some(at), Some(from)) => format!("{} from {}", time(at), safe(from)),
        _ => "not that anybody knows".to_owned(),
    };
    format!(
        "{}\n  lets in   {}\n  may       {}\n  until     {}\n  made      {}{made}{why}\n  last use  {last}\n",
        safe(&shown.name),
        holder(shown),
        shown.scopes.join(", "),
        until(shown),
        time(shown.since),
    )
}
