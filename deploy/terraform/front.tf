# What stands before the bucket or the machine, each a stack of its own; the first stack is told what they made.

locals {
  cdn_parameters = {
    bucketName     = var.bucket_name
    bucketRegion   = var.bucket_region
    cdnDomain      = var.cdn_domain
    cdnCertificate = var.cdn_certificate
    cdnPriceClass  = var.cdn_price_class
    cdnWebAcl      = var.cdn_web_acl
  }

  balancer_parameters = {
    vpcId              = var.vpc_id
    gatewaySubnetIds   = var.gateway_subnet_ids == null ? null : join(",", var.gateway_subnet_ids)
    gatewayScheme      = var.gateway_scheme
    gatewayCidr        = var.gateway_cidr
    gatewayCertificate = var.gateway_certificate
  }
}

resource "aws_cloudformation_stack" "cdn" {
  count         = var.cdn ? 1 : 0
  name          = "${var.name}-cdn"
  template_body = file("${path.module}/../cloudformation/cdn.yaml")
  parameters    = { for name, value in local.cdn_parameters : name => tostring(value) if value != null }
  tags          = var.tags
}

resource "aws_cloudformation_stack" "balancer" {
  count         = var.balancer ? 1 : 0
  name          = "${var.name}-balancer"
  template_body = file("${path.module}/../cloudformation/balancer.yaml")
  parameters    = { for name, value in local.balancer_parameters : name => tostring(value) if value != null }
  tags          = var.tags
}

output "cdn" {
  description = "The outputs of the CDN's stack: Url, Domain, and the rest. Null without one."
  value       = one(aws_cloudformation_stack.cdn[*].outputs)
}

output "balancer" {
  description = "The outputs of the load balancer's stack: Domain, and the rest. Null without one."
  value       = one(aws_cloudformation_stack.balancer[*].outputs)
}
