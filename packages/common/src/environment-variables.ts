/** Every environment variable that Trommel reads itself, with its meaning; the reference page is generated from it. */
export const environmentVariables = {
  TROMMEL_STORE: "Location of the store, as `--store`: a folder or `s3://bucket/prefix`. Default: `.trommel`",
  TROMMEL_REDIS_URL:
    "Address of Redis, as `--redis`: `redis://`, `rediss://` or `unix:`. Without it a command starts a cluster of its own",
  TROMMEL_NAMESPACE:
    "Name of a cluster that shares its Redis with others: its keys begin with `trommel-<name>:`. The same for coordinators, workers and commands. Default: none, and keys begin with `trommel:`",
  TROMMEL_METRICS:
    "Address (`host:port`) at which coordinators and workers serve metrics for Prometheus, as `--metrics`. Default: none",
  OTEL_EXPORTER_OTLP_ENDPOINT:
    "Address to which commands, coordinators and workers send traces by OTLP over HTTP, such as `http://localhost:4318`. Default: none",
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "The same with the whole path, for traces alone",
  OTEL_SDK_DISABLED: "`true` to send no traces although an address is set",
  OTEL_SERVICE_NAME: "Name of the process in traces. Default: `trommel-` and what it is",
  TROMMEL_REDIS_SERVER: "Path of a redis-server binary that is not on the `PATH`",
  TROMMEL_TOKEN:
    "Token of `trommel dashboard` where no `--token-file` is given. Default: none, and the server only reads",
  TROMMEL_CACHE: "Folder for downloaded weights. Default: `trommel` in `$XDG_CACHE_HOME` or in `~/.cache`",
  HF_TOKEN: "Token for `backbone pull hf:…`, for gated and private repositories. Sent to the hub alone",
  HF_ENDPOINT: "Address of the hub of `backbone pull hf:…`. Default: `https://huggingface.co`",
  XDG_CACHE_HOME: "Folder of caches. Default: `~/.cache`",
  AWS_ENDPOINT_URL_S3: "Address of an S3 server that is not AWS",
  AWS_ENDPOINT_URL: "The same for every AWS service; `AWS_ENDPOINT_URL_S3` wins",
  AWS_ACCESS_KEY_ID: "Credentials for S3, read by the AWS SDK like every other way to give them",
  AWS_SECRET_ACCESS_KEY: "See `AWS_ACCESS_KEY_ID`",
  AWS_SESSION_TOKEN: "See `AWS_ACCESS_KEY_ID`",
  AWS_PROFILE: "Profile of the AWS SDK's configuration files",
  AWS_REGION: "Region of S3",
  AWS_MAX_ATTEMPTS: "How often the AWS SDK tries a request",
  AWS_REQUEST_CHECKSUM_CALCULATION:
    "`WHEN_REQUIRED` for S3 servers that reject the AWS SDK's default checksums",
  AWS_NO_SIGN_REQUEST:
    "`true`, or names of public buckets separated by commas: they are read without credentials, and other buckets are signed",
  AWS_REQUEST_PAYER: "`requester` to read buckets whose reader pays",
  TROMMEL_S3_CUSTOMER_KEY_FILE:
    "File with the 32 bytes of a customer's key (SSE-C), or their base64 text. It is sent with each object that is read or written",
  TROMMEL_S3_CUSTOMER_KEY_BUCKETS:
    "Names of the buckets that the customer's key is for, separated by commas. Default: every bucket",
  TROMMEL_S3_FORCE_PATH_STYLE:
    "`true` or `false`: whether the bucket is in the path of S3 addresses. Default: `true` with an endpoint of your own",
  TROMMEL_HTTPS_HOSTS:
    "Hosts that images are read from by `https://`, separated by commas; `*.example.com` is every host below it. Set it for the coordinator and for every worker. Default: none",
  TROMMEL_HTTPS_PRIVATE:
    "`true` to read by `https://` from addresses of private networks too, where their hosts are listed. Default: `false`",
  ORT_DISABLE_TELEMETRY: "ONNX Runtime's telemetry. Trommel sets it to `1` (off) unless it is set already",
  TF_CPP_MIN_LOG_LEVEL:
    "What TensorFlow's native library logs. Trommel sets it to `2` unless it is set already",
} as const;
