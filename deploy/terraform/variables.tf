# The template's parameters; deploy/cloudformation explains each.

variable "name" {
  description = "The stack's name."
  type        = string
  default     = "yum-repo-manager"
}

variable "tags" {
  description = "Tags of everything in the stack."
  type        = map(string)
  default     = {}
}

variable "bucket_name" {
  description = "The bucket's name."
  type        = string
}

variable "env" {
  description = "The environment, such as prod or test. Null: the template's default."
  type        = string
  default     = null
}

variable "email" {
  description = "Who is told of alarms. Null: the template's default."
  type        = string
  default     = null
}

variable "keypair_name" {
  description = "An EC2 key pair for the machine; not needed. Null: the template's default."
  type        = string
  default     = null
}

variable "role_description" {
  description = "The description of the service's role. Null: the template's default."
  type        = string
  default     = null
}

variable "create_bucket" {
  description = "false: the bucket exists in this account. Null: the template's default."
  type        = bool
  default     = null
}

variable "require_conditional_switch" {
  description = "Whether the bucket refuses a repomd.xml that is put without a condition. Null: the template's default."
  type        = bool
  default     = null
}

variable "noncurrent_days" {
  description = "So many days deleted and replaced objects can be brought back. Null: the template's default."
  type        = number
  default     = null
}

variable "website" {
  description = "Whether everybody on the Internet may read repo/. Null: the template's default."
  type        = bool
  default     = null
}

variable "client_vpc_endpoint_id" {
  description = "An S3 gateway endpoint through which repo/ may be read without credentials. Null: the template's default."
  type        = string
  default     = null
}

variable "cdn" {
  description = "Whether to make a CDN (CloudFront) in front of the bucket: whoever reaches it reads repo/."
  type        = bool
  default     = false
}

variable "cdn_distribution" {
  description = "Without cdn: the id of a CloudFront distribution of your own that may read repo/. Null: the template's default."
  type        = string
  default     = null
}

variable "bucket_region" {
  description = "The bucket's region, where it is not the provider's. Null: the template's default."
  type        = string
  default     = null
}

variable "cdn_domain" {
  description = "A name of your own for the CDN; give cdn_certificate too. Null: the template's default."
  type        = string
  default     = null
}

variable "cdn_certificate" {
  description = "The ARN of that name's certificate in ACM, of us-east-1. Null: the template's default."
  type        = string
  default     = null
}

variable "cdn_price_class" {
  description = "Where CloudFront answers: PriceClass_100, PriceClass_200 or PriceClass_All. Null: the template's default."
  type        = string
  default     = null
}

variable "cdn_web_acl" {
  description = "The ARN of a web ACL of WAF that says whom the CDN answers. Null: the template's default."
  type        = string
  default     = null
}

variable "gateway" {
  description = "Whether clients install through the machine: no, redirect or stream. Null: the template's default."
  type        = string
  default     = null
}

variable "gateway_auth" {
  description = "Whom the gateway lets in: token, aws, \"token,aws\" or none. Null: the template's default."
  type        = string
  default     = null
}

variable "balancer" {
  description = "Whether to make a load balancer with HTTPS for the gateway; it needs vpc_id and the variables that follow."
  type        = bool
  default     = false
}

variable "gateway_subnet_ids" {
  description = "Subnets for the load balancer, in two zones or more. Null: the template's default."
  type        = list(string)
  default     = null
}

variable "gateway_scheme" {
  description = "internal or internet-facing. Null: the template's default."
  type        = string
  default     = null
}

variable "gateway_cidr" {
  description = "Who reaches the load balancer. Null: the template's default."
  type        = string
  default     = null
}

variable "gateway_certificate" {
  description = "The ARN of the load balancer's certificate in ACM, of its region. Null: the template's default."
  type        = string
  default     = null
}

variable "trusted_proxies" {
  description = "The networks of the load balancer's subnets, which say of which address a client is. Null: the template's default."
  type        = list(string)
  default     = null
}

variable "gateway_target_group" {
  description = "Without balancer: the ARN of a target group of your own that the machine joins. Null: the template's default."
  type        = string
  default     = null
}

variable "gateway_security_group" {
  description = "Without balancer: a security group that lets your load balancer reach the machine's port 5000. Null: the template's default."
  type        = string
  default     = null
}

variable "trusted_principals" {
  description = "ARNs of who may assume the roles of publishers, clients and deployers. Null: the template's default."
  type        = list(string)
  default     = null
}

variable "repositories" {
  description = "Which folders are repositories. Null: the template's default."
  type        = string
  default     = null
}

variable "time_interval" {
  description = "Seconds between two looks at the inbox. Null: the template's default."
  type        = number
  default     = null
}

variable "keep_at_least" {
  description = "Keep so many of the newest versions of each package. Null: the template's default."
  type        = number
  default     = null
}

variable "prune_age_days" {
  description = "Drop older versions after so many days. Null: the template's default."
  type        = number
  default     = null
}

variable "signing_key" {
  description = "Whether to make a key in KMS and sign the package lists with it (repo_gpgcheck=1). Null: the template's default."
  type        = bool
  default     = null
}

variable "release_key" {
  description = "Public key in PEM, in base64 on one line, that releases must be signed with. Null: the template's default."
  type        = string
  default     = null
}

variable "self_update" {
  description = "Whether running machines go over to new releases by themselves; give release_key too. Null: the template's default."
  type        = bool
  default     = null
}

variable "datadog_key_parameter" {
  description = "The name of an SSM parameter (SecureString) with the Datadog API key, such as /yrm/datadog-api-key. Null: the template's default."
  type        = string
  default     = null
}

variable "encryption_key" {
  description = "The ARN of a key in KMS that the bucket encrypts with; nobody reads without credentials then. Null: the template's default."
  type        = string
  default     = null
}

variable "object_tags" {
  description = "Tags of what yrm writes, by class, such as all:team=platform,packages:data=rpm. Null: the template's default."
  type        = string
  default     = null
}

variable "notices_topic" {
  description = "The ARN of an SNS topic that is told what was published and rejected, and when runs fail. Null: the template's default."
  type        = string
  default     = null
}

variable "arch" {
  description = "The machine's architecture: x86_64 or aarch64. Null: the template's default."
  type        = string
  default     = null
}

variable "instance_type" {
  description = "The machine's type. Null: the template's default."
  type        = string
  default     = null
}

variable "vpc_id" {
  description = "The machine's network; give subnet_ids too. Null: the template's default."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Subnets of vpc_id from which HTTPS leads to AWS. Null: the template's default."
  type        = list(string)
  default     = null
}

variable "http_cidr" {
  description = "Who reaches the service's port 5000. Null: the template's default."
  type        = string
  default     = null
}

variable "log_days" {
  description = "How long the log is kept. Null: the template's default."
  type        = number
  default     = null
}
