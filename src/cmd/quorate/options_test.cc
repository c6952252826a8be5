#include "cmd/quorate/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

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
  // What follows would be lost without a word: an empty variable in quotes is all it takes.
  EXPECT_EQ(Refusal(Parse({"--name", "a", "", "--client-cert-auth"})), "\"\" is not a valid flag");
  EXPECT_EQ(Refusal(Parse({"--", ""})), "\"\" is not a valid flag");
  EXPECT_EQ(MustParse({"--name", "a", "--"}).name, "a");
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

TEST(Url, Ports) {
  EXPECT_EQ(*ParseUrl("http://a:65535")->PortNumber(), 65535);
  EXPECT_EQ(*ParseUrl("http://a:")->PortNumber(), 0);
  for (const char* bad : {"65536", "99999", "99999999999999999999"}) {
    const auto port = ParseUrl(std::string("http://a:") + bad)->PortNumber();
    EXPECT_EQ(Message(port.status()), std::string("listen tcp: address ") + bad + ": invalid port");
  }
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
