//! The CloudFormation template of the bucket and the machine, by its meaning: nobody may do more than their job,
//! nothing is lost with the stack. About every template cfn-lint has nothing to say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{deploy, read, succeed, venv};
use crate::workspace::workspace;

/// The other two stand before the bucket and before the machine.
pub(super) const TEMPLATES: [&str; 3] = ["yum-repo-manager", "cdn", "balancer"];
/// CloudFormation takes no longer template in a request.
const MAX_TEMPLATE_BYTES: usize = 51_200;
/// EC2's limit, before base64.
const MAX_USER_DATA_BYTES: usize = 16_384;

/// Allowed on `*`, and why it cannot be less.
const EVERYTHING: [(&str, &str, &str); 4] = [
    ("ServicePolicy", "Beat", "cloudwatch:PutMetricData has no resources; its condition names the namespace"),
    ("ServicePolicy", "Shell", "Session Manager's channels have no resources"),
    ("DeployerPolicy", "Watch", "autoscaling:Describe… have no resources"),
    ("SigningKey", "TheAccount", "in a key's policy * is this key"),
];

/// Allowed without a condition, and why.
const UNCONDITIONAL: [(&str, &str); 6] = [
    ("BucketPolicy", "EverybodyInstalls: that is what website = yes asks for"),
    ("SigningKey", "AWS's own default: the principal is the account"),
    ("ServiceRole", "EC2 itself assumes it"),
    ("PublisherRole", "the principal is named"),
    ("ClientRole", "the principal is named"),
    ("DeployerRole", "the principal is named"),
];

pub(super) fn template() -> Value {
    named_template("yum-repo-manager")
}

fn path(name: &str) -> PathBuf {
    deploy(&format!("cloudformation/{name}.yaml"))
}

/// A template with its short forms (`!Sub`) spelt out.
pub(super) fn named_template(name: &str) -> Value {
    const TO_JSON: &str =
        "import json, sys; from cfnlint.decode import cfn_yaml; print(json.dumps(cfn_yaml.load(sys.argv[1])))";
    let output = succeed(Command::new(venv("python")).args(["-c", TO_JSON]).arg(path(name)));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(super) fn resource(template: &Value, name: &str) -> Value {
    let found = template["Resources"][name]["Properties"].clone();
    assert!(found.is_object(), "there is no resource {name}");
    found
}

pub(super) fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// Every statement of every policy: whose, and what. Both sides of an `Fn::If` count.
pub(super) fn statements(template: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, resource) in template["Resources"].as_object().unwrap() {
        for document in ["PolicyDocument", "AssumeRolePolicyDocument", "KeyPolicy"] {
            for statement in resource["Properties"][document]["Statement"].as_array().into_iter().flatten() {
                let sides =
                    statement["Fn::If"].as_array().map_or_else(|| vec![statement.clone()], |sides| sides[1..].to_vec());
                found.extend(
                    sides.into_iter().filter(|side| side.get("Effect").is_some()).map(|side| (name.clone(), side)),
                );
            }
        }
    }
    assert!(found.len() > 25, "only {} statements were found", found.len());
    found
}

/// `Fn::Sub`'s text, or what stands there.
pub(super) fn text(value: &Value) -> String {
    value.get("Fn::Sub").unwrap_or(value).as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn cfn_lint_has_nothing_to_say_and_is_told_to_overlook_nothing() {
    succeed(Command::new(venv("cfn-lint")).args(["--include-checks", "I", "--"]).args(TEMPLATES.map(path)));
    for name in TEMPLATES {
        let source = read(&path(name));
        assert!(!source.contains("cfn-lint") && !source.contains("ignore_checks"), "{name} leaves checks out");
        assert!(source.len() < MAX_TEMPLATE_BYTES, "{name} has {} bytes", source.len());
    }
}

#[test]
fn the_first_versions_parameters_are_there_and_only_the_buckets_name_must_be_given() {
    let template = template();
    let parameters = template["Parameters"].as_object().unwrap();
    for name in ["env", "email", "keypairName", "roleDescrip", "bucketName"] {
        assert!(parameters.contains_key(name), "{name}");
    }
    let needed: Vec<&String> =
        parameters.iter().filter(|(_, parameter)| parameter.get("Default").is_none()).map(|(name, _)| name).collect();
    assert_eq!(needed, ["bucketName"]);
}

#[test]
fn every_statement_is_scoped() {
    let template = template();
    let (mut everything, mut unconditional) = (BTreeSet::new(), BTreeSet::new());
    for (owner, statement) in statements(&template) {
        let sid = statement["Sid"].as_str().unwrap_or_default().to_owned();
        if statement["Effect"] != "Allow" {
            assert!(statement.get("Condition").is_some(), "{owner}/{sid} denies without a condition");
            continue;
        }
        assert!(statement.get("NotAction").is_none() && statement.get("NotResource").is_none(), "{owner}/{sid}");
        let is_everything = list(&statement["Resource"]).contains(&json!("*"));
        for action in list(&statement["Action"]) {
            let action = text(&action);
            let ends_wild = action.contains('*') && !(owner == "SigningKey" && action == "kms:*");
            assert!(!ends_wild, "{owner}/{sid} allows {action}");
        }
        if is_everything {
            everything.insert((owner.clone(), sid.clone()));
        }
        for resource in list(&statement["Resource"]).iter().map(text).filter(|arn| arn.contains(":s3:::")) {
            assert!(resource.starts_with("arn:${AWS::Partition}:s3:::${bucketName}"), "{owner}/{sid}: {resource}");
            assert!(!resource.ends_with("${bucketName}/*"), "{owner}/{sid} is about the whole bucket");
        }
        if statement.get("Condition").is_none() {
            unconditional.insert(owner.clone());
        }
    }
    let reasons: BTreeSet<_> =
        EVERYTHING.iter().map(|(owner, sid, _)| ((*owner).to_owned(), (*sid).to_owned())).collect();
    assert_eq!(everything, reasons);
    assert_eq!(unconditional, UNCONDITIONAL.iter().map(|(owner, _)| (*owner).to_owned()).collect());
}

/// What each policy allows on objects: action → where in the bucket.
fn allowed_on_objects(template: &Value, policy: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut allowed = BTreeMap::<String, BTreeSet<String>>::new();
    for (_, statement) in statements(template).iter().filter(|(owner, _)| owner == policy) {
        for action in list(&statement["Action"]).iter().map(text).filter(|action| action.ends_with("Object")) {
            let places = list(&statement["Resource"]);
            let places = places.iter().map(|arn| text(arn).split_once("${bucketName}/").unwrap().1.to_owned());
            allowed.entry(action).or_default().extend(places);
        }
    }
    allowed
}

#[test]
fn who_may_read_write_and_delete_what() {
    let template = template();
    let policies = ["ServicePolicy", "PublisherPolicy", "ClientPolicy", "DeployerPolicy"];
    let allowed: BTreeMap<_, _> =
        policies.iter().map(|policy| (*policy, allowed_on_objects(&template, policy))).collect();
    insta::assert_json_snapshot!(allowed, @r#"
    {
      "ClientPolicy": {
        "s3:GetObject": [
          "repo/*"
        ]
      },
      "DeployerPolicy": {
        "s3:GetObject": [
          "yrm-*",
          "yrm.service"
        ],
        "s3:PutObject": [
          "yrm-*",
          "yrm.service"
        ]
      },
      "PublisherPolicy": {
        "s3:GetObject": [
          ".yrm/receipts/*",
          "inbox/*"
        ],
        "s3:PutObject": [
          "inbox/*"
        ]
      },
      "ServicePolicy": {
        "s3:DeleteObject": [
          ".yrm/*",
          "inbox/*",
          "repo/*"
        ],
        "s3:GetObject": [
          ".yrm/*",
          "inbox/*",
          "quarantine/*",
          "repo/*",
          "yrm-*",
          "yrm.service"
        ],
        "s3:PutObject": [
          ".yrm/*",
          "quarantine/*",
          "repo/*"
        ]
      }
    }
    "#);
    let actions: BTreeSet<String> = statements(&template)
        .iter()
        .flat_map(|(_, statement)| list(&statement["Action"]))
        .map(|action| text(&action))
        .collect();
    assert!(!actions.iter().any(|action| action.contains("Version")), "versions are nobody's to delete: {actions:?}");
}

/// Whoever has a statement about keys or parameters, and what it allows on which.
#[test]
fn one_role_signs_with_one_key_reads_one_parameter_and_tells_one_topic() {
    let template = template();
    let about: Vec<(String, Value)> = statements(&template)
        .into_iter()
        .filter(|(owner, statement)| {
            let actions = list(&statement["Action"]);
            let secret = |action: &Value| {
                statement["Sid"] != "Encrypt"
                    && ["kms:", "ssm:Get", "secretsmanager:", "sns:"].iter().any(|of| text(action).starts_with(of))
            };
            !["SigningKey", "AlarmTopicPolicy"].contains(&owner.as_str()) && actions.iter().any(secret)
        })
        .map(|(owner, statement)| (owner, json!([statement["Action"], statement["Resource"]])))
        .collect();
    let parameter = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${datadogKeyParameter}";
    let sign = json!(["kms:Sign", {"Fn::GetAtt": ["SigningKey", "Arn"]}]);
    let know = json!([["kms:GetPublicKey", "kms:DescribeKey"], {"Fn::GetAtt": ["SigningKey", "Arn"]}]);
    let read = json!(["ssm:GetParameter", {"Fn::Sub": parameter}]);
    let tell = json!(["sns:Publish", {"Ref": "noticesTopic"}]);
    assert_eq!(about, [sign, know, read, tell].map(|statement| ("ServicePolicy".to_owned(), statement)));
    assert_eq!(resource(&template, "SigningKey")["KeyUsage"], "SIGN_VERIFY");
    // Only by the algorithm that yrm asks a key of this kind for, and only digests.
    assert_eq!(resource(&template, "SigningKey")["KeySpec"], "RSA_4096");
    let statements = statements(&template);
    let (_, sign) = statements.iter().find(|(_, statement)| statement["Action"] == "kms:Sign").unwrap();
    let asked = &sign["Condition"]["StringEquals"];
    assert_eq!(asked["kms:SigningAlgorithm"], "RSASSA_PKCS1_V1_5_SHA_512");
    assert_eq!(asked["kms:MessageType"], "DIGEST");
    // Without the parameters there is neither.
    let policy = resource(&template, "ServicePolicy");
    for condition in ["HasSigningKey", "HasDatadog", "HasNotices"] {
        let conditional = policy["PolicyDocument"]["Statement"].as_array().unwrap().iter();
        let sides = conditional.filter_map(|statement| statement["Fn::If"].as_array());
        let sides: Vec<_> = sides.filter(|sides| sides[0] == condition).collect();
        assert!(!sides.is_empty() && sides.iter().all(|sides| sides[2] == json!({"Ref": "AWS::NoValue"})));
    }
}

#[test]
fn the_bucket_s_key_and_tags_give_rights_only_where_they_are_used() {
    let template = template();
    let both = json!(["kms:GenerateDataKey", "kms:Decrypt"]);
    let expected = [
        ("ServicePolicy", both.clone()),
        ("PublisherPolicy", both.clone()),
        ("ClientPolicy", json!("kms:Decrypt")),
        ("DeployerPolicy", both),
    ];
    let via = json!({"StringEquals": {"aws:ResourceAccount": {"Ref": "AWS::AccountId"},
        "kms:ViaService": {"Fn::Sub": "s3.${AWS::Region}.amazonaws.com"}}});
    for (policy, actions) in expected {
        let statements = resource(&template, policy)["PolicyDocument"]["Statement"].clone();
        let about = |condition: &str| {
            let sides = statements.as_array().unwrap().iter().filter_map(|statement| statement["Fn::If"].as_array());
            sides.filter(|sides| sides[0] == condition).cloned().collect::<Vec<_>>()
        };
        let encrypts = about("HasEncryptionKey");
        assert_eq!(encrypts.len(), 1, "{policy}");
        assert_eq!(encrypts[0][1]["Action"], actions, "{policy}");
        assert_eq!(encrypts[0][1]["Resource"], json!({"Ref": "encryptionKey"}), "{policy}");
        assert_eq!(
            (&encrypts[0][1]["Condition"], &encrypts[0][2]),
            (&via, &json!({"Ref": "AWS::NoValue"})),
            "{policy}"
        );
        let tags = about("HasObjectTags");
        assert_eq!(tags.len(), usize::from(policy == "ServicePolicy"), "{policy}");
        if let Some(tags) = tags.first() {
            assert_eq!(
                (&tags[1]["Action"], &tags[2]),
                (&json!("s3:PutObjectTagging"), &json!({"Ref": "AWS::NoValue"}))
            );
            let places: Vec<String> = list(&tags[1]["Resource"]).iter().map(text).collect();
            let within =
                |place: &String| ["/repo/*", "/quarantine/*", "/.yrm/*"].iter().any(|end| place.ends_with(end));
            assert!(places.len() == 3 && places.iter().all(within), "{places:?}");
        }
    }
    let rule = &template["Rules"]["NobodyDecryptsForEverybody"];
    assert!(rule.to_string().contains("website") && rule.to_string().contains("clientVpcEndpointId"), "{rule}");
}

#[test]
fn the_bucket_is_closed_encrypted_versioned_and_outlives_the_stack() {
    let template = template();
    for name in ["Bucket", "BucketPolicy", "SigningKey"] {
        let resource = &template["Resources"][name];
        assert_eq!(
            (&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]),
            (&json!("Retain"), &json!("Retain"))
        );
    }
    let bucket = resource(&template, "Bucket");
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    assert_eq!(bucket["OwnershipControls"]["Rules"][0]["ObjectOwnership"], "BucketOwnerEnforced");
    let opens_for_websites = json!({"Fn::If": ["IsWebsite", false, true]});
    let block = json!({"BlockPublicAcls": true, "IgnorePublicAcls": true,
        "BlockPublicPolicy": opens_for_websites, "RestrictPublicBuckets": opens_for_websites});
    assert_eq!(bucket["PublicAccessBlockConfiguration"], block);
    let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["Fn::If"];
    let by_kms = json!({"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "encryptionKey"}});
    assert_eq!(encryption[0], "HasEncryptionKey");
    assert_eq!(encryption[1]["ServerSideEncryptionByDefault"], by_kms);
    assert_eq!(encryption[2]["ServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256");

    // A rule that expires current objects would take packages out from under the metadata.
    let rules = list(&bucket["LifecycleConfiguration"]["Rules"]);
    let does: BTreeSet<&str> =
        rules.iter().flat_map(|rule| rule.as_object().unwrap().keys().map(String::as_str)).collect();
    let wanted =
        ["AbortIncompleteMultipartUpload", "ExpiredObjectDeleteMarker", "Id", "NoncurrentVersionExpiration", "Status"];
    assert_eq!(does, BTreeSet::from(wanted));

    let switch =
        statements(&template).into_iter().find(|(_, statement)| statement["Sid"] == "NoUnconditionalSwitch").unwrap().1;
    assert_eq!(switch["Effect"], "Deny");
    assert_eq!(switch["Principal"], "*");
    assert_eq!(
        switch["Condition"],
        json!({
            "Bool": {"s3:ObjectCreationOperation": "true"},
            "Null": {"s3:if-match": "true", "s3:if-none-match": "true"},
        })
    );
}

#[test]
fn the_queue_takes_messages_from_the_bucket_only_and_gives_up_at_last() {
    let template = template();
    let policy = resource(&template, "InboxQueuePolicy");
    let tells = &policy["PolicyDocument"]["Statement"][0];
    assert_eq!(tells["Principal"], json!({"Service": "s3.amazonaws.com"}));
    assert_eq!(
        tells["Condition"],
        json!({
            "ArnEquals": {"aws:SourceArn": {"Fn::Sub": "arn:${AWS::Partition}:s3:::${bucketName}"}},
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
        })
    );
    assert_eq!(list(&policy["PolicyDocument"]["Statement"]).iter().filter(|one| one["Effect"] == "Allow").count(), 1);
    let queue = resource(&template, "InboxQueue");
    assert_eq!(queue["RedrivePolicy"]["deadLetterTargetArn"], json!({"Fn::GetAtt": ["InboxDeadLetters", "Arn"]}));
    for name in ["InboxQueue", "InboxDeadLetters"] {
        assert_eq!(resource(&template, name)["SqsManagedSseEnabled"], true);
    }
    let notified = &resource(&template, "Bucket")["NotificationConfiguration"]["QueueConfigurations"][0];
    assert_eq!(notified["Filter"]["S3Key"]["Rules"], json!([{"Name": "prefix", "Value": "inbox/"}]));
}

#[test]
fn the_machine_is_replaced_before_it_goes_and_speaks_imdsv2_only() {
    let template = template();
    let data = &resource(&template, "LaunchTemplate")["LaunchTemplateData"];
    assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
    assert_eq!(data["MetadataOptions"]["HttpPutResponseHopLimit"], 1);
    assert_eq!(data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"], true);
    assert_eq!(data["KeyName"], json!({"Fn::If": ["HasKeyPair", {"Ref": "keypairName"}, {"Ref": "AWS::NoValue"}]}));
    let user_data = data["UserData"]["Fn::Base64"]["Fn::Join"][1].as_array().unwrap();
    assert_eq!(user_data[1].as_str().unwrap(), read(&deploy("boot")), "run scripts/embed-boot");
    assert!(
        user_data[0]["Fn::Sub"][0].as_str().unwrap().len() + read(&deploy("boot")).len() < MAX_USER_DATA_BYTES - 2_000
    );

    let group = resource(&template, "ServiceGroup");
    assert_eq!((&group["DesiredCapacity"], &group["MinSize"]), (&json!("1"), &json!("1")));
    assert_eq!(group["InstanceMaintenancePolicy"], json!({"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}));
    let open = &resource(&template, "SecurityGroup")["SecurityGroupIngress"]["Fn::If"];
    assert_eq!((&open[0], &open[2]), (&json!("HasHttpCidr"), &json!({"Ref": "AWS::NoValue"})));
    let ports = &open[1][0];
    assert_eq!(
        (&ports["FromPort"], &ports["ToPort"], &ports["CidrIp"]),
        (&json!(5000), &json!(5000), &json!({"Ref": "httpCidr"}))
    );
    assert_eq!(list(&open[1]).len(), 1);
}

#[test]
fn what_the_alarms_listen_to_is_what_is_told() {
    let template = template();
    let heartbeat = read(&deploy("systemd/yrm-heartbeat"));
    let told = heartbeat.split("$(datum ").skip(1).map(|rest| rest.split(' ').next().unwrap());
    let told: BTreeSet<&str> = told.collect();
    let mut heard = BTreeSet::new();
    for (name, resource) in template["Resources"].as_object().unwrap() {
        if resource["Type"] != "AWS::CloudWatch::Alarm" {
            continue;
        }
        let alarm = &resource["Properties"];
        assert_eq!(alarm["AlarmActions"], json!([{"Ref": "AlarmTopic"}]), "{name}");
        heard.insert(name.as_str());
        if alarm["Namespace"] != "YumRepoManager" {
            continue;
        }
        assert!(heartbeat.contains("--namespace YumRepoManager"));
        assert!(told.contains(alarm["MetricName"].as_str().unwrap()), "nobody tells {}", alarm["MetricName"]);
        assert_eq!(alarm["Dimensions"], json!([{"Name": "Stack", "Value": {"Ref": "AWS::StackName"}}]));
    }
    assert_eq!(heard, BTreeSet::from(["NoHeartbeat", "OldMessage", "DeadLetters", "Quarantine"]));
    assert_eq!(resource(&template, "NoHeartbeat")["TreatMissingData"], "breaching");
}

/// Words that a document says as code and that begin like an output or a parameter.
fn named<'a>(document: &'a str, known: &'a Value) -> BTreeSet<&'a str> {
    known
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .filter(|name| document.contains(&format!("`{name}")))
        .collect()
}

#[test]
fn the_document_goes_from_nothing_to_dnf_install_in_ten_commands_of_this_stack() {
    let template = template();
    let document = read(&workspace().join("docs/tasks/install-on-aws.md"));
    let block = document.split("```sh no-run\n").nth(1).unwrap().split("```").next().unwrap();
    let commands: Vec<&str> = block.lines().collect();
    assert!(commands.len() <= 10, "{} commands", commands.len());
    assert!(commands.last().unwrap().contains("dnf install"));
    let create = commands.iter().find(|command| command.contains("create-stack")).unwrap();
    let given: Vec<&str> = create.split("ParameterKey=").skip(1).map(|rest| rest.split(',').next().unwrap()).collect();
    assert!(given.contains(&"bucketName"));
    assert!(given.iter().all(|name| template["Parameters"].get(name).is_some()), "{given:?}");
    for word in block.split_whitespace().filter(|word| word.contains('/') && !word.contains("s3://")) {
        let path = word.trim_start_matches("file://");
        let is_ours = ["deploy/", "scripts/", "crates/"].iter().any(|folder| path.starts_with(folder));
        assert!(!is_ours || workspace().join(path).exists(), "there is no {path}");
    }
    let outputs = named(&document, &template["Outputs"]);
    for output in ["NotifyCommand", "ReleaseCommand", "UpdateCommand", "PublisherRoleArn", "ClientPolicyArn"] {
        assert!(outputs.contains(output), "docs/tasks/install-on-aws.md does not say what {output} is for");
    }
    assert!(block.contains("OutputKey=='RepoFile'") && template["Outputs"].get("RepoFile").is_some());
    let alarms = template["Resources"].as_object().unwrap();
    for (name, _) in alarms.iter().filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm") {
        let row = document
            .lines()
            .find(|line| line.starts_with("| ") && line.split('|').nth(1).unwrap().contains(name.as_str()));
        assert!(row.is_some(), "docs/tasks/install-on-aws.md does not say what to do about {name}");
    }
}
