/* The hosts part's jobs (desk/jobs.h). */
#pragma once

#include "desk/jobs.h"

job_fn host_seen_job, block_expire_job;
