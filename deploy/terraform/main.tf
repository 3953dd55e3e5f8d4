# The same stack for those who use Terraform: one template describes it, so that the two cannot
# differ and what tests hold the one to holds for the other.
terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  # What is not given is left to the template's defaults.
  parameters = {
    env                      = var.env
    email                    = var.email
    keypairName              = var.keypair_name
    roleDescrip              = var.role_description
    bucketName               = var.bucket_name
    createBucket             = var.create_bucket == null ? null : var.create_bucket ? "yes" : "no"
    requireConditionalSwitch = var.require_conditional_switch == null ? null : var.require_conditional_switch ? "yes" : "no"
    noncurrentDays           = var.noncurrent_days
    encryptionKey            = var.encryption_key
    objectTags               = var.object_tags
    website                  = var.website == null ? null : var.website ? "yes" : "no"
    clientVpcEndpointId      = var.client_vpc_endpoint_id
    cdnDistribution          = var.cdn ? one(aws_cloudformation_stack.cdn[*].outputs["DistributionId"]) : var.cdn_distribution
    gateway                  = var.gateway
    gatewayAuth              = var.gateway_auth
    gatewayTargetGroup       = var.balancer ? one(aws_cloudformation_stack.balancer[*].outputs["TargetGroupArn"]) : var.gateway_target_group
    gatewaySecurityGroup     = var.balancer ? one(aws_cloudformation_stack.balancer[*].outputs["SecurityGroupId"]) : var.gateway_security_group
    trustedProxies           = var.trusted_proxies == null ? null : join(",", var.trusted_proxies)
    trustedPrincipals        = var.trusted_principals == null ? null : join(",", var.trusted_principals)
    repositories             = var.repositories
    timeInterval             = var.time_interval
    keepAtLeast              = var.keep_at_least
    pruneAgeDays             = var.prune_age_days
    signingKey               = var.signing_key == null ? null : var.signing_key ? "yes" : "no"
    releaseKey               = var.release_key
    selfUpdate               = var.self_update == null ? null : var.self_update ? "yes" : "no"
    datadogKeyParameter      = var.datadog_key_parameter
    noticesTopic             = var.notices_topic
    arch                     = var.arch
    instanceType             = var.instance_type
    vpcId                    = var.vpc_id
    subnetIds                = var.subnet_ids == null ? null : join(",", var.subnet_ids)
    httpCidr                 = var.http_cidr
    logDays                  = var.log_days
  }
}

resource "aws_cloudformation_stack" "yum_repo_manager" {
  name          = var.name
  template_body = file("${path.module}/../cloudformation/yum-repo-manager.yaml")
  capabilities  = ["CAPABILITY_IAM"]
  parameters    = { for name, value in local.parameters : name => tostring(value) if value != null }
  tags          = var.tags
}

output "outputs" {
  description = "The stack's outputs: RepositoryUrl, RepoFile, PublishCommand, ReleaseCommand, roles, and the rest."
  value       = aws_cloudformation_stack.yum_repo_manager.outputs
}
