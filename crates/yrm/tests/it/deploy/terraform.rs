//! The Terraform module hands every parameter to the templates, and nothing that they do not know.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::template::named_template;
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

/// Where the module has the parameters of a template.
const PARAMETERS: [(&str, &str, &str); 3] = [
    ("yum-repo-manager", "main.tf", "parameters"),
    ("cdn", "front.tf", "cdn_parameters"),
    ("balancer", "front.tf", "balancer_parameters"),
];

#[test]
fn every_parameter_of_the_templates_is_a_variable_and_no_other() {
    for (name, file, local) in PARAMETERS {
        let parameters = &parsed(file)["locals"][0][local];
        assert_eq!(names(parameters), names(&named_template(name)["Parameters"]), "{name}");
        for (parameter, given) in parameters.as_object().unwrap() {
            let given = given.to_string();
            let variable: String = parameter.chars().flat_map(snake).collect();
            let variable = variable.replace("role_descrip", "role_description");
            assert!(given.contains(&format!("var.{variable}")), "{parameter} is given {given}");
        }
    }
    let variables = parsed("variables.tf");
    let declared: BTreeSet<String> = variables["variable"].as_array().unwrap().iter().flat_map(names).collect();
    let source = format!("{}{}", parsed("main.tf"), parsed("front.tf"));
    let used = source.split("var.").skip(1);
    let used = used.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap().to_owned());
    assert_eq!(used.collect::<BTreeSet<String>>(), declared);
}

/// `bucketName` is `bucket_name`.
fn snake(c: char) -> impl Iterator<Item = char> {
    c.is_ascii_uppercase().then_some('_').into_iter().chain(std::iter::once(c.to_ascii_lowercase()))
}

#[test]
fn the_stacks_are_made_from_the_templates() {
    for (file, at, resource, name) in [
        ("main.tf", 0, "yum_repo_manager", "yum-repo-manager"),
        ("front.tf", 0, "cdn", "cdn"),
        ("front.tf", 1, "balancer", "balancer"),
    ] {
        let stack = parsed(file)["resource"][at]["aws_cloudformation_stack"][resource].clone();
        let body = stack["template_body"].as_str().unwrap();
        let path = format!("../cloudformation/{name}.yaml");
        assert!(body.contains(&format!("${{path.module}}/{path}")), "{body}");
        assert!(deploy("terraform").join(path).exists());
        // Only the first makes roles, and only the first is always there.
        assert_eq!(stack["capabilities"].to_string().contains("CAPABILITY_IAM"), file == "main.tf");
        assert_eq!(
            stack["count"].as_str().unwrap_or_default().contains(&format!("var.{resource} ? 1 : 0")),
            at_will(name)
        );
    }
}

/// Whether somebody has to ask for it.
fn at_will(template: &str) -> bool {
    template != "yum-repo-manager"
}

/// What the other stacks made is what the first is told.
#[test]
fn outputs_that_the_module_hands_on_are_outputs_of_the_templates() {
    let main = parsed("main.tf").to_string();
    let mut handed = BTreeSet::new();
    for name in ["cdn", "balancer"] {
        let outputs = named_template(name)["Outputs"].clone();
        for rest in main.split(&format!("aws_cloudformation_stack.{name}[*].outputs[")).skip(1) {
            let output = rest.trim_start_matches('"').split(['"', ']']).next().unwrap().to_owned();
            assert!(outputs.get(&output).is_some(), "{name} has no output {output}");
            handed.insert(output);
        }
    }
    assert_eq!(handed.len(), 3, "{handed:?}");
}
