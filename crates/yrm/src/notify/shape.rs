//! Notices in the shapes that chat programs take. Pure.
//!
//! What uploaders wrote must be text there and nothing else: no link, no mention of a channel, no markup.

use serde_json::json;

use super::news::Notice;
use crate::config::NotifyShape;

/// What is posted to a webhook.
pub(super) fn body(notice: &Notice, shape: NotifyShape) -> String {
    match shape {
        NotifyShape::Yrm => notice.body.clone(),
        NotifyShape::Slack => slack(notice),
        NotifyShape::Teams => teams(notice),
    }
}

/// A message for an incoming webhook. `<` begins links and mentions, so the three control characters are escaped as
/// Slack says; other markup is off for the whole message.
fn slack(notice: &Notice) -> String {
    let lines: Vec<String> = std::iter::once(&notice.subject).chain(&notice.lines).map(|line| entities(line)).collect();
    json!({"text": lines.join("\n"), "mrkdwn": false, "unfurl_links": false, "unfurl_media": false}).to_string()
}

/// `&`, `<` and `>` as entities.
fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A message with an adaptive card, as a Teams workflow takes it. A `TextBlock` knows Markdown, a `TextRun` does not.
fn teams(notice: &Notice) -> String {
    let line = |text: &str, weight: &str| {
        let run = json!({"type": "TextRun", "text": text, "weight": weight});
        json!({"type": "RichTextBlock", "inlines": [run]})
    };
    let mut lines = vec![line(&notice.subject, "bolder")];
    lines.extend(notice.lines.iter().map(|text| line(text, "default")));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": lines,
            },
        }],
    })
    .to_string()
}
