//! The Terraform module hands every parameter to the template, and nothing that it does not know.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::template::template;
use super::{deploy, succeed, venv};

const TO_JSON: &str = "import hcl2, json, sys; print(json.dumps(hcl2.load(open(sys.argv[1]))))";

/// A file of the module. Strings and names come with quotes or without, depending on where they stand.
fn parsed(file: &str) -> Value {
    let output = succeed(Command::new(venv("python")).args(["-c", TO_JSON]).arg(deploy("terraform").join(file)));
    let text = String::from_utf8(output.stdout).unwrap().replace("\\\"", "");
    serde_json::from_str(&text).unwrap()
}

fn names(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().filter(|name| !name.starts_with("__")).cloned().collect()
}

#[test]
fn every_parameter_of_the_template_is_a_variable_and_no_other() {
    let main = parsed("main.tf");
    let parameters = &main["locals"][0]["parameters"];
    assert_eq!(names(parameters), names(&template()["Parameters"]));

    let variables = parsed("variables.tf");
    let declared: BTreeSet<String> = variables["variable"].as_array().unwrap().iter().flat_map(names).collect();
    let used: BTreeSet<String> = main
        .to_string()
        .split("var.")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap().to_owned())
        .collect();
    assert_eq!(used, declared);
    for (parameter, given) in parameters.as_object().unwrap() {
        let given = given.to_string();
        let name: String = parameter.chars().flat_map(snake).collect();
        let name = name.replace("role_descrip", "role_description");
        assert!(given.contains(&format!("var.{name}")), "{parameter} is given {given}");
    }
}

/// `bucketName` is `bucket_name`.
fn snake(c: char) -> impl Iterator<Item = char> {
    c.is_ascii_uppercase().then_some('_').into_iter().chain(std::iter::once(c.to_ascii_lowercase()))
}

#[test]
fn the_stack_is_made_from_the_template() {
    let main = parsed("main.tf");
    let stack = &main["resource"][0]["aws_cloudformation_stack"]["yum_repo_manager"];
    let body = stack["template_body"].as_str().unwrap();
    assert!(body.contains("${path.module}/../cloudformation/yum-repo-manager.yaml"), "{body}");
    assert!(deploy("terraform").join("../cloudformation/yum-repo-manager.yaml").exists());
    assert!(stack["capabilities"].to_string().contains("CAPABILITY_IAM"));
}
