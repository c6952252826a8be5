// The parts without a connection: endpoints, key ranges, requests.
#include <gtest/gtest.h>

#include "client/endpoint.h"
#include "client/endpoint_address.h"
#include "client/later.h"
#include "quorate/client/key_range.h"
#include "quorate/client/txn.h"

namespace quorate::client {
namespace {

using Security = EndpointAddress::Security;

TEST(EndpointAddressTest, AsEtcdReadsThem) {
  const struct {
    const char* url;
    const char* target;
    Security security;
    const char* server_name;
  } cases[] = {
      {"10.0.0.1:2379", "dns:///10.0.0.1:2379", Security::kTlsIfConfigured, ""},
      {"http://etcd-1:2379", "dns:///etcd-1:2379", Security::kPlain, ""},
      {"http://etcd-1:2379/", "dns:///etcd-1:2379", Security::kPlain, ""},
      {"https://[::1]:2379", "dns:///[::1]:2379", Security::kTls, ""},
      {"unix:///run/etcd.sock:0", "unix:/run/etcd.sock:0", Security::kTlsIfConfigured, "etcd.sock:0"},
      {"unixs:///run/etcd.sock", "unix:/run/etcd.sock", Security::kTls, "etcd.sock"},
      {"unix://localhost:m10", "unix:localhost:m10", Security::kTlsIfConfigured, "localhost:m10"},
      {"unix:here", "unix:here", Security::kTlsIfConfigured, "here"},
  };
  for (const auto& c : cases) {
    const auto address = ParseEndpoint(c.url);
    ASSERT_TRUE(address.ok()) << c.url << address.status();
    EXPECT_EQ(address->url, c.url);
    EXPECT_EQ(address->target, c.target);
    EXPECT_EQ(address->security, c.security);
    EXPECT_EQ(address->server_name, c.server_name);
  }
}

TEST(EndpointAddressTest, Malformed) {
  for (const char* url :
       {"", "host", "http://host", "http://:2379", "host:0", "host:65536", "host:x", "ftp://host:1",
        "http://host:1/path", "http://user@host:1", "::1:2379", "unix://", "unix:///"}) {
    const auto address = ParseEndpoint(url);
    ASSERT_FALSE(address.ok()) << url;
    EXPECT_NE(Message(address.status()).find("\"" + std::string(url) + "\""), std::string_view::npos);
  }
}

TEST(LaterTest, IsNeverBeforeNow) {
  using std::chrono::milliseconds;
  constexpr auto kNever = std::chrono::steady_clock::time_point::max();
  const struct {
    milliseconds time;
    bool never;
    milliseconds at_least;
  } cases[] = {
      {milliseconds::min(), false, {}},
      {milliseconds(-1), false, {}},
      {milliseconds(0), false, {}},
      {milliseconds(1), false, milliseconds(1)},
      {kLongest, false, kLongest},
      {kLongest + milliseconds(1), true, {}},
      {std::chrono::hours(24 * 365 * 300), true, {}},
      {milliseconds::max(), true, {}},
  };
  for (const auto& c : cases) {
    const auto before = std::chrono::steady_clock::now();
    const auto later = Later(c.time);
    EXPECT_EQ(later == kNever, c.never) << c.time.count();
    if (c.never) continue;
    EXPECT_GE(later, before + c.at_least) << c.time.count();
    EXPECT_LE(later, std::chrono::steady_clock::now() + c.at_least) << c.time.count();
  }
}

TEST(KeyRangeTest, EndsOfPrefixes) {
  const std::string zero(1, '\0');
  EXPECT_EQ(PrefixEnd("a"), "b");
  EXPECT_EQ(PrefixEnd("a\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff\xff"), zero);
  EXPECT_EQ(Prefix("").key, zero);
  EXPECT_EQ(Prefix("").end, zero);
  EXPECT_EQ(FromKey("x").end, zero);
  EXPECT_EQ(FromKey("").key, zero);
  EXPECT_EQ(KeyRange("x").end, "");
}

TEST(TxnTest, BecomesTheRequest) {
  Txn txn;
  txn.If({VersionOf("a").Equals(0), ValueOf(Prefix("b")).NotEquals("x"), ModRevisionOf("c").Greater(3),
          LeaseOf("d").Less(9), CreateRevisionOf("e").Equals(4)})
      .Then({Op::Put("a", "1", {.lease = 5, .prev_kv = true})})
      .Else({Op::Get("a", {.limit = 2}), Op::Delete(Prefix("z"), {.prev_kv = true}),
             Op::Nested(Txn().Then({Op::Put("n", "2")}))});
  const etcdserverpb::TxnRequest& m = txn.message();
  ASSERT_EQ(m.compare_size(), 5);
  EXPECT_EQ(m.compare(0).target(), Compare::VERSION);
  EXPECT_EQ(m.compare(0).target_union_case(), Compare::kVersion);
  EXPECT_EQ(m.compare(1).range_end(), "c");
  EXPECT_EQ(m.compare(1).result(), Compare::NOT_EQUAL);
  EXPECT_EQ(m.compare(2).mod_revision(), 3);
  EXPECT_EQ(m.compare(3).lease(), 9);
  EXPECT_EQ(m.compare(4).create_revision(), 4);
  EXPECT_EQ(m.success(0).request_put().lease(), 5);
  EXPECT_EQ(m.failure(0).request_range().limit(), 2);
  EXPECT_TRUE(m.failure(1).request_delete_range().prev_kv());
  EXPECT_EQ(m.failure(2).request_txn().success(0).request_put().key(), "n");
}

TEST(EndpointTest, WhyItIsNotConnectedStandsUntilMoreIsKnown) {
  const auto made = EndpointFactory({}, nullptr).Make("http://127.0.0.1:1");
  ASSERT_TRUE(made.ok()) << made.status();
  Endpoint& endpoint = **made;
  EXPECT_EQ(endpoint.connect_error(), "");
  const grpc::Status refused(grpc::UNAVAILABLE,
                             "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: "
                             "Failed to connect to remote host: Connection refused");
  const std::string why = "ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused";
  endpoint.Learned(refused);
  EXPECT_EQ(endpoint.connect_error(), why);
  // A machine that has much to do may not find it out in time.
  endpoint.Learned(grpc::Status(grpc::DEADLINE_EXCEEDED, "Deadline Exceeded"));
  EXPECT_EQ(endpoint.connect_error(), why);
  endpoint.Learned(grpc::Status(grpc::UNIMPLEMENTED, ""));
  EXPECT_EQ(endpoint.connect_error(), "");
  endpoint.Learned(refused);
  endpoint.Answered();
  EXPECT_EQ(endpoint.connect_error(), "");
}

}  // namespace
}  // namespace quorate::client
