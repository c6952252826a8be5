#include "cmd/quorate/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace quorate::cmd {
namespace {

using ::testing::StartsWith;

// The error that etcd logs as "failed to verify flags".
std::string Refusal(const std::string& path) {
  const ParseResult result = ParseOptions("quorate", {"--config-file", path}, {});
  EXPECT_FALSE(result.options.has_value());
  EXPECT_EQ(result.exit_code, 1);
  for (const Notice& n : result.notices) {
    if (n.message == "failed to verify flags") return n.fields.at(0).second;
  }
  return "";
}

std::string WriteFile(const std::string& text) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("quorate_config_file_test." + std::to_string(getpid())))
          .string();
  std::ofstream(path) << text;
  return path;
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
  const ParseResult result =
      ParseOptions("quorate", {"--config-file", path, "--name", "ignored"}, {"ETCD_SNAPSHOT_COUNT=1"});
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
  ASSERT_FALSE(result.notices.empty());
  EXPECT_THAT(result.notices[0].message, StartsWith("loaded server configuration"));
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
  EXPECT_EQ(Refusal("/nonexistent/x"), "open /nonexistent/x: no such file or directory");
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
  EXPECT_EQ(Refusal(path), "read " + path + ": is a directory");
}

}  // namespace
}  // namespace quorate::cmd
