//! The load balancer's template, and what the machine's stack has for it, by their meaning: nothing but `/repo/`
//! passes, and nobody else reaches the machine. `gateway::front` has clients install through it.

use serde_json::{Value, json};

#[cfg(feature = "aws")]
use super::cloud::Cloud;
use super::template::{list, named_template, resource, template};
use crate::workspace::workspace;

/// The resources of a type: names and properties.
fn of_type(template: &Value, wanted: &str) -> Vec<(String, Value)> {
    let all = template["Resources"].as_object().unwrap().iter();
    let fitting = all.filter(|(_, resource)| resource["Type"].as_str().unwrap().ends_with(wanted));
    fitting.map(|(name, resource)| (name.clone(), resource["Properties"].clone())).collect()
}

#[test]
fn nothing_passes_the_balancer_that_is_not_below_repo() {
    let template = named_template("balancer");
    let listeners = of_type(&template, "::Listener");
    let [(_, listener)] = &listeners[..] else { panic!("{listeners:?}") };
    // Passwords go over it.
    assert_eq!((&listener["Protocol"], &listener["Port"]), (&json!("HTTPS"), &json!(443)));
    assert_eq!(listener["SslPolicy"], "ELBSecurityPolicy-TLS13-1-2-2021-06");
    let default = list(&listener["DefaultActions"]);
    assert_eq!(default.len(), 1);
    assert_eq!(
        (&default[0]["Type"], &default[0]["FixedResponseConfig"]["StatusCode"]),
        (&json!("fixed-response"), &json!("404"))
    );
    let rules = of_type(&template, "::ListenerRule");
    assert_eq!(rules.len(), 1);
    for (name, rule) in rules {
        let expected = json!([
            {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/repo/*"]}},
            {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET", "HEAD"]}},
        ]);
        assert_eq!(rule["Conditions"], expected, "{name}");
        assert_eq!(rule["Actions"], json!([{"Type": "forward", "TargetGroupArn": {"Ref": "TargetGroup"}}]), "{name}");
    }
    let target = resource(&template, "TargetGroup");
    let checked = ["Protocol", "Port", "HealthCheckPath", "TargetType"].map(|name| target[name].clone());
    assert_eq!(checked, [json!("HTTP"), json!(5000), json!("/livez"), json!("instance")]);
    let attributes = list(&resource(&template, "LoadBalancer")["LoadBalancerAttributes"]);
    let appends = json!({"Key": "routing.http.xff_header_processing.mode", "Value": "append"});
    assert!(attributes.contains(&appends), "the gateway counts by the address that the load balancer adds");
    // With an equal or longer one it would now and then send a request to a connection that the service has just ended.
    let idle = attributes.iter().find(|attribute| attribute["Key"] == "idle_timeout.timeout_seconds").unwrap();
    let source = std::fs::read_to_string(workspace().join("crates/yrm/src/http/mod.rs")).unwrap();
    let head = source.split("HEAD_TIMEOUT: Duration = Duration::from_secs(").nth(1).unwrap().split(')').next().unwrap();
    let seconds = |text: &str| text.parse::<u32>().unwrap();
    assert!(seconds(idle["Value"].as_str().unwrap()) + 5 <= seconds(head));
}

#[test]
fn the_machine_s_port_is_open_to_the_balancer_alone_and_the_balancer_reaches_nothing_else() {
    let template = named_template("balancer");
    let group = |name: &str| json!({"Fn::GetAtt": [name, "GroupId"]});
    let only = |name: &str, way: &str| {
        let rules = list(&resource(&template, name)[way]);
        assert_eq!(rules.len(), 1, "{name} {way}");
        let mut rule = rules[0].clone();
        assert_eq!(rule["IpProtocol"], "tcp");
        assert_eq!(rule["FromPort"], rule["ToPort"]);
        rule.as_object_mut()
            .unwrap()
            .retain(|name, _| !["Description", "IpProtocol", "ToPort"].contains(&name.as_str()));
        rule
    };
    let nothing = |port: u16| json!({"FromPort": port, "CidrIp": "127.0.0.1/32"});
    let from_balancer = json!({"FromPort": 5000, "SourceSecurityGroupId": group("BalancerGroup")});
    assert_eq!(only("MachineGroup", "SecurityGroupIngress"), from_balancer);
    assert_eq!(only("MachineGroup", "SecurityGroupEgress"), nothing(443));
    assert_eq!(
        only("BalancerGroup", "SecurityGroupIngress"),
        json!({"FromPort": 443, "CidrIp": {"Ref": "gatewayCidr"}})
    );
    assert_eq!(only("BalancerGroup", "SecurityGroupEgress"), nothing(5000));
    let more = of_type(&template, "::SecurityGroupEgress");
    let [(_, egress)] = &more[..] else { panic!("{more:?}") };
    let ends = ["GroupId", "DestinationSecurityGroupId"].map(|name| egress[name].clone());
    assert_eq!(ends, [group("BalancerGroup"), group("MachineGroup")]);
    assert_eq!((&egress["FromPort"], &egress["ToPort"]), (&json!(5000), &json!(5000)));
    assert!(of_type(&template, "::SecurityGroupIngress").is_empty());
    // Who reaches it is said by whoever makes the stack.
    assert!(template["Parameters"]["gatewayCidr"].get("Default").is_none());
    assert_eq!(template["Parameters"]["gatewayScheme"]["Default"], "internal");
    assert!(!template["Resources"].to_string().contains("PolicyDocument"), "its stack gives no rights");
}

#[test]
fn the_machine_joins_only_where_it_is_told_and_listens_to_nobody_else() {
    let template = template();
    let none = json!({"Ref": "AWS::NoValue"});
    let group = resource(&template, "ServiceGroup");
    assert_eq!(group["TargetGroupARNs"], json!({"Fn::If": ["HasTargetGroup", [{"Ref": "gatewayTargetGroup"}], none]}));
    let data = &resource(&template, "LaunchTemplate")["LaunchTemplateData"];
    let groups = json!([{"Fn::GetAtt": ["SecurityGroup", "GroupId"]},
        {"Fn::If": ["HasBalancer", {"Ref": "gatewaySecurityGroup"}, none]}]);
    assert_eq!(data["SecurityGroupIds"], groups);
    let told = &data["UserData"]["Fn::Base64"]["Fn::Join"][1][0]["Fn::Sub"][1];
    let listens = json!({"Fn::If": ["HasBalancer", "0.0.0.0:5000", "127.0.0.1:5000"]});
    assert_eq!(told["listen"], json!({"Fn::If": ["HasHttpCidr", "0.0.0.0:5000", listens]}));
    assert_eq!(told["clients"], json!({"Fn::If": ["HasGateway", {"Ref": "gateway"}, ""]}));
    for (condition, parameter, nothing) in [
        ("HasGateway", "gateway", "no"),
        ("HasBalancer", "gatewaySecurityGroup", ""),
        ("HasTargetGroup", "gatewayTargetGroup", ""),
    ] {
        let given = json!({"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, nothing]}]});
        assert_eq!(template["Conditions"][condition], given);
        assert_eq!(template["Parameters"][parameter]["Default"], nothing);
    }
    let rule = template["Rules"]["ABalancerNeedsAGateway"].to_string();
    assert!(
        ["gateway", "gatewaySecurityGroup", "trustedProxies"].iter().all(|name| rule.contains(&format!("\"{name}\"")))
    );
    // A client's certificate ends at the load balancer.
    assert_eq!(template["Parameters"]["gatewayAuth"]["AllowedValues"], json!(["token", "aws", "token,aws", "none"]));
}

/// The load balancer's outputs are what the machine's stack takes, and the machine is told of both.
#[cfg(feature = "aws")]
#[test]
fn a_machine_behind_the_balancer_joins_it_and_is_configured_for_it() {
    let (cloud, root) = (Cloud::start(), Cloud::root());
    let subnets = cloud.json(&root, &["ec2", "describe-subnets"])["Subnets"].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let [network, first, second] = [&subnets[0]["VpcId"], &subnets[0]["SubnetId"], &subnets[1]["SubnetId"]].map(text);
    let subnets = format!("{first},{second}");
    let certificate = cloud.json(&root, &["acm", "request-certificate", "--domain-name", "rpms.example.org"]);
    let certificate = text(&certificate["CertificateArn"]);
    let parameters = [
        ("vpcId", network.as_str()),
        ("gatewaySubnetIds", &subnets),
        ("gatewayCidr", "10.0.0.0/8"),
        ("gatewayCertificate", &certificate),
    ];
    let balancer = cloud.create_stack_of("balancer", "balancer", &parameters);
    let (target, group) = (&balancer["TargetGroupArn"], &balancer["SecurityGroupId"]);
    let parameters = [
        ("bucketName", "my-rpms"),
        ("cdnDistribution", "E2ABCDEFGHIJKL"),
        ("gateway", "stream"),
        ("gatewayTargetGroup", target),
        ("gatewaySecurityGroup", group),
        ("trustedProxies", "10.0.8.0/28,10.0.9.0/28"),
    ];
    cloud.create_stack("yum-repo-manager", &parameters);

    let groups = cloud.json(&root, &["autoscaling", "describe-auto-scaling-groups"]);
    assert_eq!(groups["AutoScalingGroups"][0]["TargetGroupARNs"], json!([target]));
    let templates = ["ec2", "describe-launch-template-versions", "--versions", "$Latest", "--launch-template-id"];
    let id = text(&cloud.json(&root, &["ec2", "describe-launch-templates"])["LaunchTemplates"][0]["LaunchTemplateId"]);
    let versions = cloud.json(&root, &[&templates[..], &[&id]].concat());
    let data = &versions["LaunchTemplateVersions"][0]["LaunchTemplateData"];
    let its_groups = list(&data["SecurityGroupIds"]);
    assert_eq!((its_groups.len(), &its_groups[1]), (2, &json!(group)));
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text(&data["UserData"])).unwrap();
    let told = String::from_utf8(decoded).unwrap();
    for line in [
        "YRM_LISTEN='0.0.0.0:5000'",
        "YRM_GATEWAY='stream'",
        "YRM_GATEWAY_AUTH='token'",
        "YRM_TRUSTED_PROXIES='10.0.8.0/28,10.0.9.0/28'",
    ] {
        assert!(
            told.contains(&format!("export {line}\n")),
            "{line} is not in {}",
            told.split("# deploy").next().unwrap()
        );
    }
    let policy = text(&cloud.json(&root, &["s3api", "get-bucket-policy", "--bucket", "my-rpms"])["Policy"]);
    assert!(policy.contains(":distribution/E2ABCDEFGHIJKL"), "{policy}");
}
