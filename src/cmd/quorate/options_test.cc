#include "cmd/quorate/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "cmd/quorate/config_file.h"
#include "cmd/quorate/flag_table.h"

namespace quorate::cmd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

ParseResult Parse(const std::vector<std::string>& args, const std::vector<std::string>& environment = {}) {
  return ParseOptions("/usr/bin/quorate", args, environment);
}

Options MustParse(const std::vector<std::string>& args, const std::vector<std::string>& environment = {}) {
  ParseResult result = Parse(args, environment);
  EXPECT_TRUE(result.options.has_value()) << result.err;
  for (const Notice& n : result.notices) {
    if (!result.options) ADD_FAILURE() << n.message << " " << (n.fields.empty() ? "" : n.fields[0].second);
  }
  return result.options.value_or(Options());
}

// The error that etcd logs as "failed to verify flags".
std::string Refusal(const ParseResult& result) {
  EXPECT_FALSE(result.options.has_value());
  EXPECT_EQ(result.exit_code, 1);
  for (const Notice& n : result.notices) {
    if (n.message == "failed to verify flags") return n.fields.at(0).second;
  }
  return "";
}

bool HasNotice(const ParseResult& result, std::string_view text) {
  for (const Notice& n : result.notices) {
    if (n.message.find(text) != std::string::npos) return true;
  }
  return false;
}

std::string WriteFile(const std::string& text) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("quorate_options_test." + std::to_string(getpid())))
          .string();
  std::ofstream(path) << text;
  return path;
}

TEST(Options, DefaultsAreEtcds) {
  const Options o = MustParse({});
  EXPECT_EQ(o.name, "default");
  EXPECT_EQ(o.data_dir, "default.etcd");
  EXPECT_EQ(o.initial_cluster, "default=http://localhost:2380");
  EXPECT_EQ(o.snapshot_count, 10'000u);
  EXPECT_EQ(o.ElectionTicks(), 10);
  EXPECT_EQ(o.listen_client_urls[0].String(), "http://localhost:2379");
  EXPECT_EQ(o.advertise_client_urls[0].String(), "http://localhost:2379");
  EXPECT_EQ(o.auto_compaction_retention, 0);
  EXPECT_EQ(o.log.outputs, std::vector<std::string>{"stderr"});
  EXPECT_TRUE(CheckAvailable(o).ok());
}

// The defaults shown in --help are those of the struct.
TEST(Options, ShownDefaultsAreTheDefaults) {
  Options defaults;
  for (const Flag& flag : FlagTable()) {
    if (flag.section == Section::kHidden || flag.name == "data-dir" || flag.name == "initial-cluster" ||
        flag.name == "backend-batch-interval" || flag.name == "v2-deprecation") {
      continue;
    }
    Options shown;
    ASSERT_TRUE(flag.shown_default.empty() || SetValue(flag, flag.shown_default, &shown).ok()) << flag.name;
    EXPECT_EQ(RenderValue(flag, shown), RenderValue(flag, defaults)) << flag.name;
  }
}

TEST(Options, TableIsConsistent) {
  std::set<std::string_view> names;
  for (const Flag& flag : FlagTable()) {
    EXPECT_TRUE(names.insert(flag.name).second) << flag.name;
    if (!flag.replaced_by.empty()) {
      EXPECT_NE(FindFlag(flag.replaced_by.substr(0, flag.replaced_by.find('='))), nullptr) << flag.name;
    }
  }
}

TEST(Options, GoFlagSyntax) {
  EXPECT_EQ(MustParse({"--name", "a"}).name, "a");
  EXPECT_EQ(MustParse({"-name", "a"}).name, "a");
  EXPECT_EQ(MustParse({"-name=a"}).name, "a");
  EXPECT_EQ(MustParse({"--name=a=b"}).name, "a=b");
  EXPECT_EQ(MustParse({"--name", "a", "--name", "b"}).name, "b");
  EXPECT_FALSE(MustParse({"--pre-vote=false"}).pre_vote);
  EXPECT_FALSE(MustParse({"--pre-vote=0"}).pre_vote);
  EXPECT_TRUE(MustParse({"--pre-vote"}).pre_vote);
  EXPECT_EQ(MustParse({"--max-wals=0x10"}).max_wals, 16u);
  EXPECT_EQ(MustParse({"--max-wals=1_000"}).max_wals, 1000u);
  EXPECT_EQ(Refusal(Parse({"--pre-vote", "false"})), "\"false\" is not a valid flag");
  EXPECT_EQ(Refusal(Parse({"--", "x"})), "\"x\" is not a valid flag");
  EXPECT_EQ(Refusal(Parse({"stray"})), "\"stray\" is not a valid flag");
}

// First lines of standard error, as etcd 3.4.23 prints them; exit status 2.
TEST(Options, FlagErrorsAreGos) {
  const struct {
    std::vector<std::string> args;
    std::string error;
  } cases[] = {
      {{"--nosuch"}, "flag provided but not defined: -nosuch"},
      {{"---x"}, "bad flag syntax: ---x"},
      {{"--=x"}, "bad flag syntax: --=x"},
      {{"--heartbeat-interval"}, "flag needs an argument: -heartbeat-interval"},
      {{"--heartbeat-interval", "x"}, "invalid value \"x\" for flag -heartbeat-interval: parse error"},
      {{"--heartbeat-interval", "-1"}, "invalid value \"-1\" for flag -heartbeat-interval: parse error"},
      {{"--pre-vote=x"}, "invalid boolean value \"x\" for -pre-vote: parse error"},
      {{"--max-wals", "99999999999999999999"},
       "invalid value \"99999999999999999999\" for flag -max-wals: value out of range"},
      {{"--max-concurrent-streams", "x"},
       "invalid value \"x\" for flag -max-concurrent-streams: strconv.ParseUint: parsing \"x\": invalid "
       "syntax"},
      {{"--grpc-keepalive-min-time", "5"},
       "invalid value \"5\" for flag -grpc-keepalive-min-time: parse error"},
      {{"--initial-cluster-state", "x"},
       "invalid value \"x\" for flag -initial-cluster-state: invalid value"},
      {{"--listen-client-urls", "x"},
       "invalid value \"x\" for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: x"},
      {{"--listen-client-urls", "127.0.0.1:1"},
       "invalid value \"127.0.0.1:1\" for flag -listen-client-urls: parse \"127.0.0.1:1\": first path "
       "segment in "
       "URL cannot contain colon"},
      {{"--listen-client-urls", "http://a:b"},
       "invalid value \"http://a:b\" for flag -listen-client-urls: parse \"http://a:b\": invalid port \":b\" "
       "after "
       "host"},
      {{"--listen-client-urls", "http://127.0.0.1"},
       "invalid value \"http://127.0.0.1\" for flag -listen-client-urls: URL address does not have the form "
       "\"host:port\": http://127.0.0.1"},
      {{"--listen-client-urls", "http://127.0.0.1:1/x"},
       "invalid value \"http://127.0.0.1:1/x\" for flag -listen-client-urls: URL must not contain a path: "
       "http://127.0.0.1:1/x"},
      {{"--feature-gates", "Nosuch=true"},
       "invalid value \"Nosuch=true\" for flag -feature-gates: unrecognized feature gate: Nosuch"},
      {{"--feature-gates", "PriorityRequest"},
       "invalid value \"PriorityRequest\" for flag -feature-gates: missing bool value for PriorityRequest"},
  };
  for (const auto& c : cases) {
    const ParseResult result = Parse(c.args);
    EXPECT_FALSE(result.options.has_value());
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.err.substr(0, result.err.find('\n')), c.error);
    EXPECT_THAT(result.err, HasSubstr("Usage:"));
    EXPECT_TRUE(result.out.empty());
  }
}

TEST(Options, HelpAndVersion) {
  for (const char* flag : {"--help", "-h"}) {
    const ParseResult help = Parse({flag});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("  --name 'default'\n    Human-readable name for this member.\n"));
    EXPECT_THAT(help.err, StartsWith("Usage:"));
  }
  const ParseResult ours = Parse({"--version"});
  EXPECT_EQ(ours.exit_code, 0);
  EXPECT_THAT(ours.out, StartsWith("quorate Version: "));
  EXPECT_THAT(ParseOptions("/usr/bin/etcd", {"--version"}, {}).out, StartsWith("etcd Version: 3."));
  EXPECT_EQ(Parse({"gateway", "start"}).exit_code, 1);
}

TEST(Options, ChecksAreEtcds) {
  const struct {
    std::vector<std::string> args;
    std::string error;
  } cases[] = {
      {{"--heartbeat-interval", "0"}, "--heartbeat-interval must be >0 (set to 0ms)"},
      {{"--election-timeout", "0"}, "--election-timeout must be >0 (set to 0ms)"},
      {{"--election-timeout", "499"},
       "--election-timeout[499ms] should be at least as 5 times as --heartbeat-interval[100ms]"},
      {{"--election-timeout", "50001"},
       "--election-timeout[50001ms] is too long, and should be set less than 50000ms"},
      {{"--heartbeat-interval", "9223372036854775807"},
       "--election-timeout[1000ms] should be at least as 5 times as "
       "--heartbeat-interval[9223372036854775807ms]"},
      {{"--listen-client-urls", "http://127.0.0.1:1"},
       "--advertise-client-urls is required when --listen-client-urls is set explicitly"},
      {{"--listen-peer-urls", "http://example.com:1"},
       "expected IP in URL for binding (http://example.com:1)"},
      {{"--advertise-client-urls", "http://:1"},
       "--advertise-client-urls \"http://:1\" must be in the format \"host:port\", \"unix:/path/to/socket\" "
       "or "
       "\"unixs:/path/to/socket\" (unexpected empty host (http://:1))"},
      {{"--auto-compaction-mode", "x"}, "unknown auto-compaction-mode \"x\""},
      {{"--auto-compaction-retention", "x"},
       "error parsing CompactionRetention: time: invalid duration \"x\""},
      {{"--log-outputs", "default,stderr"}, "multi logoutput for \"default\" is not supported yet"},
      {{"--logger", "capnslog"}, "--logger=capnslog is removed in v3.5"},
      {{"--discovery-fallback", "proxy"},
       "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\""},
      {{"--discovery-srv", "a", "--initial-cluster", "default=http://a:1"},
       "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", "
       "\"discovery-endpoints\" or "
       "\"discovery-srv\""},
      {{"--discovery-token", "a"}, "both --discovery-token and --discovery-endpoints must be set"},
      {{"--tls-min-version", "TLS1.3", "--tls-max-version", "TLS1.2"},
       "min version (TLS1.3) is greater than max version (TLS1.2)"},
      {{"--feature-gates", "LeaseCheckpointPersist=true"},
       "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint"},
  };
  for (const auto& c : cases) EXPECT_EQ(Refusal(Parse(c.args)), c.error);
}

TEST(Options, CompactionRetention) {
  const struct {
    std::string mode;
    std::string text;
    int64_t want;
  } cases[] = {
      {"periodic", "0", 0},
      {"periodic", "2", 7'200'000'000'000},
      {"periodic", "10m", 600'000'000'000},
      {"periodic", "1.5h", 5'400'000'000'000},
      {"revision", "1000", 1000},
      {"revision", "", 0},
  };
  for (const auto& c : cases) {
    const Options o = MustParse({"--auto-compaction-mode", c.mode, "--auto-compaction-retention", c.text});
    EXPECT_EQ(o.auto_compaction_retention, c.want) << c.mode << " " << c.text;
  }
}

TEST(Options, GoDurations) {
  const struct {
    std::string text;
    int64_t want;
  } good[] = {{"0", 0},       {"5s", 5'000'000'000}, {"-1.5ms", -1'500'000}, {"1h2m3s", 3'723'000'000'000},
              {"1us", 1'000}, {"1\xc2\xb5s", 1'000}, {".5s", 500'000'000},   {"+3ns", 3}};
  for (const auto& c : good) EXPECT_EQ(*ParseGoDuration(c.text), c.want) << c.text;
  for (const char* bad : {"", "5", "s", "1x", "1s2", "-", ".", ".s", "9999999999h", "1 s"}) {
    EXPECT_FALSE(ParseGoDuration(bad).ok()) << bad;
  }
}

TEST(Options, EnvironmentRules) {
  EXPECT_EQ(MustParse({}, {"ETCD_NAME=a"}).name, "a");
  EXPECT_EQ(MustParse({}, {"ETCD_NAME=a"}).data_dir, "a.etcd");
  EXPECT_EQ(MustParse({}, {"ETCD_NAME="}).name, "default");
  EXPECT_EQ(MustParse({}, {"ETCD_EXPERIMENTAL_COMPACTION_BATCH_LIMIT=7"}).compaction_batch_limit, 7);
  EXPECT_EQ(Refusal(Parse({}, {"ETCD_HEARTBEAT_INTERVAL=x"})),
            "invalid value \"x\" for ETCD_HEARTBEAT_INTERVAL: parse error");

  const ParseResult conflict = Parse({"--name", "a"}, {"ETCD_NAME=a"});
  EXPECT_FALSE(conflict.options.has_value());
  EXPECT_EQ(conflict.exit_code, 1);
  EXPECT_TRUE(HasNotice(conflict, "conflicting environment variable is shadowed"));

  const ParseResult unknown = Parse({}, {"ETCD_NOSUCH=1", "PATH=/bin", "ETCDCTL_API=3"});
  EXPECT_TRUE(unknown.options.has_value());
  EXPECT_TRUE(HasNotice(unknown, "unrecognized environment variable"));
  EXPECT_TRUE(HasNotice(Parse({}, {"ETCD_NAME=a"}), "recognized and used environment variable"));
  EXPECT_TRUE(HasNotice(Parse({}, {"ETCD_VERSION=3"}), "cannot set special environment variable"));

  const Options o = MustParse({}, {"ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:5,http://127.0.0.1:4",
                                   "ETCD_ADVERTISE_CLIENT_URLS=http://h:4"});
  ASSERT_EQ(o.listen_client_urls.size(), 2u);
  EXPECT_EQ(o.listen_client_urls[0].port, "4");
}

TEST(Options, OlderSpellingsWarnAndTheCurrentOneWins) {
  const ParseResult result =
      Parse({"--experimental-compaction-batch-limit=7", "--compaction-batch-limit=9", "--debug", "--v",
             "--enable-v2=true", "--max-snapshots=3", "--experimental-enable-lease-checkpoint=true"});
  ASSERT_TRUE(result.options.has_value());
  EXPECT_EQ(result.options->compaction_batch_limit, 9);
  EXPECT_EQ(result.options->log.level, log::Level::kDebug);
  EXPECT_TRUE(result.options->gates.lease_checkpoint);
  EXPECT_TRUE(
      HasNotice(result,
                "--experimental-compaction-batch-limit is deprecated in v3.6 and will be decommissioned in "
                "v3.7. Use '--compaction-batch-limit' instead."));
  EXPECT_TRUE(HasNotice(result, "flag is no longer supported - ignoring"));
  EXPECT_TRUE(HasNotice(result, "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8."));
  EXPECT_TRUE(HasNotice(result, "--enable-v2 has no effect"));
}

TEST(Options, NameMakesTheInitialCluster) {
  const Options o = MustParse({"--name", "m", "--initial-advertise-peer-urls", "http://a:2,http://a:1"});
  EXPECT_EQ(o.initial_cluster, "m=http://a:1,m=http://a:2");
  EXPECT_EQ(MustParse({"--name", "m", "--initial-cluster", "m=http://x:1"}).initial_cluster, "m=http://x:1");
  EXPECT_EQ(MustParse({"--discovery-srv", "example.com"}).initial_cluster, "");
}

TEST(Options, FeatureGates) {
  const Options o =
      MustParse({"--feature-gates", "AllAlpha=true,PriorityRequest=false, FastLeaseKeepAlive = false"});
  EXPECT_TRUE(o.gates.lease_checkpoint);
  EXPECT_FALSE(o.gates.priority_request);
  EXPECT_FALSE(o.gates.fast_lease_keep_alive);
}

TEST(ConfigFile, KeysAndTypes) {
  const std::string path = WriteFile(R"(
name: from-file
data-dir: /tmp/somewhere
heartbeat-interval: 200
election-timeout: 2000
snapshot-count: 42
listen-client-urls: http://127.0.0.1:7001, http://127.0.0.1:7000
watch-progress-notify-interval: 5000000000
auto-compaction-retention: "10m"
initial-cluster-token: 123
pre-vote: false
log-outputs: [stdout]
cipher-suites: [A, B]
nosuch-key: ignored
socket-options: {reuse-port: true}
experimental-snapshot-catch-up-entries: 77
client-transport-security:
  cert-file: c.pem
  allowed-cn: [a, b]
  client-cert-auth: true
peer-transport-security:
  allowed-cn: [x, y]
)");
  const ParseResult result = Parse({"--config-file", path, "--name", "ignored"}, {"ETCD_SNAPSHOT_COUNT=1"});
  std::filesystem::remove(path);
  ASSERT_TRUE(result.options.has_value());
  const Options& o = *result.options;
  EXPECT_EQ(o.name, "from-file");
  EXPECT_EQ(o.data_dir, "/tmp/somewhere");
  EXPECT_EQ(o.heartbeat_interval_ms, 200);
  EXPECT_EQ(o.snapshot_count, 42u);
  EXPECT_EQ(o.listen_client_urls[0].port, "7000");
  EXPECT_EQ(o.advertise_client_urls[0].String(), "http://localhost:2379");
  EXPECT_EQ(o.watch_progress_notify_interval_nanos, 5'000'000'000);
  EXPECT_EQ(o.auto_compaction_retention, 600'000'000'000);
  EXPECT_EQ(o.initial_cluster_token, "123");
  EXPECT_FALSE(o.pre_vote);
  EXPECT_EQ(o.log.outputs, std::vector<std::string>{"stdout"});
  EXPECT_EQ(o.cipher_suites.size(), 2u);
  EXPECT_TRUE(o.socket_reuse_port);
  EXPECT_EQ(o.snapshot_catchup_entries, 77u);
  EXPECT_EQ(o.client_tls.cert_file, "c.pem");
  EXPECT_TRUE(o.client_tls.client_cert_auth);
  EXPECT_EQ(o.client_tls.allowed_cns, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(o.peer_tls.allowed_cns.size(), 2u);
  EXPECT_TRUE(HasNotice(result, "loaded server configuration"));
}

TEST(ConfigFile, Errors) {
  const struct {
    std::string text;
    std::string error;
  } cases[] = {
      {"heartbeat-interval: 100ms",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field "
       "configYAML.heartbeat-interval of type uint"},
      {"watch-progress-notify-interval: 10m",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field "
       "configYAML.watch-progress-notify-interval of type time.Duration"},
      {"pre-vote: 1",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal number into Go struct field "
       "configYAML.pre-vote of type bool"},
      {"[a, b]",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type "
       "embed.configYAML"},
      {"peer-transport-security: x",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field "
       "configYAML.peer-transport-security of type embed.securityConfig"},
      {"client-transport-security: {client-cert-auth: 5}",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal number into Go struct field "
       "securityConfig.client-transport-security.client-cert-auth of type bool"},
      {"bcrypt-cost: 4.5",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal number 4.5 into Go struct field "
       "configYAML.bcrypt-cost of type uint"},
      {"bcrypt-cost: -1",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal number -1 into Go struct field "
       "configYAML.bcrypt-cost of type uint"},
      {"socket-options: x",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field "
       "configYAML.socket-options of type transport.SocketOpts"},
      {"discovery-config: {client: {dial-timeout: [1]}}",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go struct field "
       "ConfigSpec.discovery-config.client.dial-timeout of type time.Duration"},
      {"socket-options: {reuse-port: [yes]}",
       "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go struct field "
       "SocketOpts.socket-options.reuse-port of type bool"},
      {"listen-client-urls: x",
       "unexpected error setting up listen-client-urls: URL scheme must be http, https, unix, or unixs: x"},
  };
  for (const auto& c : cases) {
    Options o;
    std::vector<const Flag*> given;
    const Status s = ReadConfigText(c.text, "test", &o, &given);
    EXPECT_EQ(Message(s), c.error);
  }
  for (const std::string& text : {std::string("a: [unclosed"), std::string("\t:"), std::string(5000, '['),
                                  std::string("a: *b"), std::string(2 << 20, 'a')}) {
    Options o;
    std::vector<const Flag*> given;
    const Status s = ReadConfigText(text, "test", &o, &given);
    if (!s.ok()) {
      EXPECT_THAT(std::string(Message(s)), StartsWith("error "));
    }
  }
  EXPECT_EQ(Refusal(Parse({"--config-file", "/nonexistent/x"})),
            "open /nonexistent/x: no such file or directory");
}

// What etcd honours must not be ignored without a word: these turned client authentication off.
TEST(ConfigFile, SecurityIsReadHoweverItIsWritten) {
  for (const std::string& text : {
           std::string("x: &a {client-cert-auth: true, trusted-ca-file: ca.pem}\n"
                       "client-transport-security:\n  <<: *a\n  cert-file: s.pem\n"),
           std::string("client-transport-security:\n  cert-file: s.pem\n"
                       "  Client-Cert-Auth: true\n  Trusted-CA-File: ca.pem\n"),
           std::string("client-transport-security:\n  cert-file: s.pem\n  client-cert-auth: false\n"
                       "  client-cert-auth: true\n  trusted-ca-file: ca.pem\n"),
           std::string("Client-Transport-Security: {cert-file: s.pem, client-cert-auth: y}\n"
                       "client-transport-security: {trusted-ca-file: ca.pem}\n"),
           std::string("x: &a\n  client-transport-security: {cert-file: s.pem, client-cert-auth: on,\n"
                       "    trusted-ca-file: ca.pem}\n<<: *a\n"),
       }) {
    Options o;
    std::vector<const Flag*> given;
    ASSERT_TRUE(ReadConfigText(text, "test", &o, &given).ok()) << text;
    EXPECT_EQ(o.client_tls.cert_file, "s.pem") << text;
    EXPECT_TRUE(o.client_tls.client_cert_auth) << text;
    EXPECT_EQ(o.client_tls.trusted_ca_file, "ca.pem") << text;
  }
}

TEST(ConfigFile, KeysInAnyCaseAndNumbersInAnyForm) {
  Options o;
  std::vector<const Flag*> given;
  const Status s = ReadConfigText(
      "Auth-Token: jwt\nbcrypt-cost: 4.0\nauth-token-ttl: 1e1\nenable-pprof: y\nauth-token: simple\n"
      "snapshot-count: 1\nsnapshot-count: 2\ngrpc-keepalive-min-time: 1e9\nSocket-Options: {Reuse-Port: On}\n"
      "Experimental-Compaction-Batch-Limit: 7\nname: 010\nmax-wals:\n",
      "test", &o, &given);
  ASSERT_TRUE(s.ok()) << Message(s);
  EXPECT_EQ(o.auth_token, "simple");  // Of both, the one in lower case.
  EXPECT_EQ(o.bcrypt_cost, 4u);
  EXPECT_EQ(o.auth_token_ttl_seconds, 10u);
  EXPECT_TRUE(o.enable_pprof);
  EXPECT_EQ(o.snapshot_count, 2u);
  EXPECT_EQ(o.grpc_keepalive_min_time_nanos, 1'000'000'000);
  EXPECT_TRUE(o.socket_reuse_port);
  EXPECT_EQ(o.compaction_batch_limit, 7);
  EXPECT_EQ(o.name, "010");  // As written, where etcd wants quotes.
  EXPECT_EQ(o.max_wals, 5u);
}

TEST(ConfigFile, ADirectoryIsRefused) {
  const std::string path = std::filesystem::temp_directory_path().string();
  EXPECT_EQ(Refusal(Parse({"--config-file", path})), "read " + path + ": is a directory");
}

TEST(Available, RefusesWhatComesLater) {
  const struct {
    std::vector<std::string> args;
    std::string part;
  } refused[] = {
      {{"--proxy", "on"}, "--proxy: the v2 proxy is gone"},
      {{"--enable-distributed-tracing"}, "--enable-distributed-tracing: "},
  };
  for (const auto& c : refused) {
    const Status s = CheckAvailable(MustParse(c.args));
    EXPECT_FALSE(s.ok());
    EXPECT_THAT(std::string(Message(s)), StartsWith(c.part));
  }
  // Given, but with the value that changes nothing.
  EXPECT_TRUE(CheckAvailable(MustParse({"--proxy=off"})).ok());
}

TEST(Url, Forms) {
  EXPECT_EQ(ParseUrl("http://[::1]:2379")->host, "::1");
  EXPECT_EQ(ParseUrl("http://[::1]:2379")->String(), "http://[::1]:2379");
  EXPECT_EQ(ParseUrl(" HTTP://a:1 ")->String(), "http://a:1");
  EXPECT_EQ(ParseUrl("unix://localhost:12345")->String(), "unix://localhost:12345");
  EXPECT_EQ(ParseUrl("unix:///run/x.sock")->path, "/run/x.sock");
  for (const char* bad :
       {"", ":", "http:", "http://", "http://a", "http://[::1", "http://a:1/", "ftp://a:1", "http://a b:1"}) {
    EXPECT_FALSE(ParseUrl(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace quorate::cmd
