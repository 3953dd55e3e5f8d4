//! The CDN's template, by its meaning: it reads `repo/` and nothing else, and keeps nothing for long that changes.
//! `gateway::front` has clients install through it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::template::{list, named_template, resource, statements, template, text};

/// The distribution's behaviors: the default one, and the others in their order.
fn behaviors(distribution: &Value) -> Vec<Value> {
    let others = list(&distribution["CacheBehaviors"]);
    std::iter::once(distribution["DefaultCacheBehavior"].clone()).chain(others).collect()
}

#[test]
fn the_cdn_may_read_repo_and_nothing_else() {
    let template = template();
    let to_cloudfront = |statement: &Value| statement["Principal"].to_string().contains("cloudfront");
    let found: Vec<(String, Value)> =
        statements(&template).into_iter().filter(|(_, statement)| to_cloudfront(statement)).collect();
    let distribution = "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${cdnDistribution}";
    let statement = json!({
        "Sid": "TheCdnReads",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": {"Fn::Sub": "arn:${AWS::Partition}:s3:::${bucketName}/repo/*"},
        "Condition": {"StringEquals": {"aws:SourceArn": {"Fn::Sub": distribution}}},
    });
    assert_eq!(found, [("BucketPolicy".to_owned(), statement.clone())]);
    // Without the parameter nobody is let in.
    let policy = resource(&template, "BucketPolicy")["PolicyDocument"]["Statement"].clone();
    assert!(list(&policy).contains(&json!({"Fn::If": ["HasCdn", statement.clone(), {"Ref": "AWS::NoValue"}]})));
    let is_given = json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "cdnDistribution"}, ""]}]});
    assert_eq!(template["Conditions"]["HasCdn"], is_given);
    assert_eq!(template["Parameters"]["cdnDistribution"]["Default"], "");

    // The same for a bucket that was there before, as the CDN's stack prints it.
    let printed = text(&named_template("cdn")["Outputs"]["BucketStatement"]["Value"]);
    let expected = plain(&statement).to_string().replace("${cdnDistribution}", "${Distribution}");
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), serde_json::from_str::<Value>(&expected).unwrap());
}

/// With the texts of `Fn::Sub` in its place.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key("Fn::Sub") => fields["Fn::Sub"].clone(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn the_cdn_signs_what_it_asks_and_its_stack_gives_no_rights() {
    let template = named_template("cdn");
    let access = &resource(&template, "OriginAccess")["OriginAccessControlConfig"];
    let how = ["OriginAccessControlOriginType", "SigningBehavior", "SigningProtocol"].map(|name| access[name].clone());
    assert_eq!(how, [json!("s3"), json!("always"), json!("sigv4")]);
    let distribution = &resource(&template, "Distribution")["DistributionConfig"];
    let origins = list(&distribution["Origins"]);
    assert_eq!(origins.len(), 1);
    assert_eq!(origins[0]["OriginAccessControlId"], json!({"Fn::GetAtt": ["OriginAccess", "Id"]}));
    assert_eq!(text(&origins[0]["DomainName"]["Fn::Sub"][0]), "${bucketName}.s3.${region}.${AWS::URLSuffix}");
    for (name, resource) in template["Resources"].as_object().unwrap() {
        assert!(resource["Type"].as_str().unwrap().starts_with("AWS::CloudFront::"), "{name}");
    }
}

#[test]
fn every_behavior_asks_the_function_takes_https_and_compresses_nothing() {
    let template = named_template("cdn");
    let distribution = resource(&template, "Distribution")["DistributionConfig"].clone();
    let function = json!([{"EventType": "viewer-request",
        "FunctionARN": {"Fn::GetAtt": ["PathFunction", "FunctionMetadata.FunctionARN"]}}]);
    let expected = json!({"TargetOriginId": "bucket", "ViewerProtocolPolicy": "redirect-to-https",
        "AllowedMethods": ["GET", "HEAD"], "Compress": false, "FunctionAssociations": function});
    let mut classes = Vec::new();
    for mut behavior in behaviors(&distribution) {
        let fields = behavior.as_object_mut().unwrap();
        let pattern = fields.remove("PathPattern").map_or("*".to_owned(), |pattern| text(&pattern));
        let policy = fields.remove("CachePolicyId").unwrap()["Ref"].as_str().unwrap().to_owned();
        assert_eq!(behavior, expected, "{pattern}");
        classes.push((pattern, policy));
    }
    let swapped = ["/repo/*repomd.xml*", "/repo/*mirrorlist", "/repo/RPM-GPG-KEY-*", "/repo/*.repo"];
    let swapped = swapped.map(|pattern| (pattern, "SwappedFiles"));
    let expected = std::iter::once(("*", "FixedFiles")).chain(swapped);
    let expected: Vec<_> = expected.map(|(pattern, policy)| (pattern.to_owned(), policy.to_owned())).collect();
    assert_eq!(classes, expected);
    assert_eq!(distribution["HttpVersion"], "http2and3");
    let tls = &distribution["ViewerCertificate"]["Fn::If"];
    assert_eq!((&tls[0], &tls[1]["MinimumProtocolVersion"]), (&json!("HasCertificate"), &json!("TLSv1.2_2021")));
    assert!(template["Rules"]["ANameNeedsItsCertificate"].to_string().contains("cdnCertificate"));
}

#[test]
fn what_changes_is_asked_for_each_time_and_an_error_is_kept_for_a_second() {
    let template = named_template("cdn");
    let seconds = |policy: &str| {
        let config = resource(&template, policy)["CachePolicyConfig"].clone();
        // What is not asked with is no reason to keep two copies, or to show one to S3.
        let asked = &config["ParametersInCacheKeyAndForwardedToOrigin"];
        let none = json!({"EnableAcceptEncodingGzip": false, "CookiesConfig": {"CookieBehavior": "none"},
            "HeadersConfig": {"HeaderBehavior": "none"}, "QueryStringsConfig": {"QueryStringBehavior": "none"}});
        assert_eq!(*asked, none, "{policy}");
        ["MinTTL", "DefaultTTL", "MaxTTL"].map(|name| config[name].as_u64().unwrap())
    };
    // A minimum above 0 would hold against the Cache-Control that yrm sets.
    assert_eq!(seconds("SwappedFiles"), [0, 0, 1]);
    assert_eq!(seconds("FixedFiles"), [0, 60, 31_536_000]);
    let errors = list(&resource(&template, "Distribution")["DistributionConfig"]["CustomErrorResponses"]);
    let kept = errors.iter().map(|error| {
        assert!(error.get("ResponsePagePath").is_none(), "there is no page in the bucket");
        (error["ErrorCode"].as_u64().unwrap(), error["ErrorCachingMinTTL"].as_u64().unwrap())
    });
    assert_eq!(kept.collect::<Vec<_>>(), [403, 404, 500, 502, 503, 504].map(|code| (code, 1)));
}

/// What the function makes of a path: another path, or an answer.
fn asked(source: &str, uri: &str) -> Value {
    let event = json!({"version": "1.0", "request": {"method": "GET", "uri": uri, "headers": {}}});
    let mut duk = Command::new("duk").arg("--run-stdin").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let script = format!("{source}\nprint(JSON.stringify(handler({event})));\n");
    duk.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = duk.wait_with_output().unwrap();
    assert!(output.status.success(), "{uri}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer.get("statusCode").unwrap_or(&answer["uri"]).clone()
}

/// duk knows the language of 2011, which every runtime of CloudFront knows.
#[test]
fn the_function_lets_nothing_past_that_is_not_below_repo_and_spells_plus_as_s3_reads_it() {
    let function = resource(&named_template("cdn"), "PathFunction");
    assert_eq!(
        (&function["AutoPublish"], &function["FunctionConfig"]["Runtime"]),
        (&json!(true), &json!("cloudfront-js-2.0"))
    );
    let source = function["FunctionCode"].as_str().unwrap();
    assert!(source.len() < 10_000, "CloudFront takes 10 kB");
    for (uri, becomes) in [
        ("/repo/el9/libgreet++-2.0~rc1-1.noarch.rpm", "/repo/el9/libgreet%2B%2B-2.0~rc1-1.noarch.rpm"),
        ("/repo/el9/libgreet%2b%2B-1.rpm", "/repo/el9/libgreet%2B%2B-1.rpm"),
        ("/repo/a b%20c^1.rpm", "/repo/a b%20c^1.rpm"),
        ("/repo/media.1/media-1.rpm", "/repo/media.1/media-1.rpm"),
        ("/repo/repodata/repomd.xml", "/repo/repodata/repomd.xml"),
    ] {
        assert_eq!(asked(source, uri), becomes);
    }
    for uri in [
        "/",
        "/repo",
        "/repository/a",
        "/inbox/a.rpm",
        "/.yrm/blocks.json",
        "/quarantine/a",
        "/yrm-x86_64",
        "//repo/a",
        "/REPO/a",
        "/x/repo/a",
        "/%72epo/a",
        "repo/a",
        // zypper takes a 403 for an end.
        "/repo/media.1/media",
        "/repo/el9/media.1/media",
    ] {
        assert_eq!(asked(source, uri), 404, "{uri}");
    }
}
