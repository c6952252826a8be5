#include "cluster/srv_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace quorate::cluster {
namespace {

using testing::HasSubstr;

using Zone = std::map<std::string, std::vector<SrvRecord>>;

StatusOr<std::string> Discover(const Zone& zone, const SrvOptions& options) {
  return InitialClusterFromSrv(
      options,
      [&](const std::string& name) -> StatusOr<std::vector<SrvRecord>> {
        const auto found = zone.find(name);
        if (found == zone.end()) return NotFound("no such host");
        return found->second;
      },
      [](std::string_view host_port) -> StatusOr<std::string> {
        const std::map<std::string, std::string, std::less<>> hosts = {
            {"a.example.com:2380", "10.0.0.1:2380"},
            {"b.example.com:2380", "10.0.0.2:2380"},
            {"10.0.0.1:2380", "10.0.0.1:2380"}};
        const auto found = hosts.find(host_port);
        if (found == hosts.end()) return NotFound("no address");
        return found->second;
      });
}

SrvOptions Options() { return {"example.com", "", "m1", {"http://10.0.0.1:2380"}}; }

const std::vector<SrvRecord> kTwo = {{"b.example.com.", 2380}, {"a.example.com.", 2380}};

TEST(SrvCluster, RecordsBecomeMembers) {
  EXPECT_EQ(*Discover({{"_etcd-server._tcp.example.com", kTwo}}, Options()),
            "0=http://b.example.com:2380,m1=http://a.example.com:2380");
}

TEST(SrvCluster, ServiceSuffix) {
  SrvOptions options = Options();
  options.service_suffix = "dev";
  EXPECT_FALSE(Discover({{"_etcd-server._tcp.example.com", kTwo}}, options).ok());
  EXPECT_TRUE(Discover({{"_etcd-server-dev._tcp.example.com", kTwo}}, options).ok());
}

TEST(SrvCluster, Refusals) {
  const auto error = [](const Zone& zone) {
    return std::string(Message(Discover(zone, Options()).status()));
  };
  EXPECT_THAT(error({}), HasSubstr("no such host"));
  EXPECT_THAT(error({{"_etcd-server._tcp.example.com", {}}}), HasSubstr("no members were found"));
  EXPECT_THAT(error({{"_etcd-server._tcp.example.com", {{"b.example.com", 2380}}}}),
              HasSubstr("cannot find local etcd member \"m1\""));
  EXPECT_THAT(error({{"_etcd-server-ssl._tcp.example.com", {{"a.example.com", 2380}}}}),
              HasSubstr("scheme mismatch"));
}

TEST(SrvCluster, ARecordThatDoesNotResolveIsLeftOut) {
  EXPECT_EQ(*Discover({{"_etcd-server._tcp.example.com", {{"x.example.com", 2380}, {"a.example.com", 2380}}}},
                      Options()),
            "m1=http://a.example.com:2380");
}

}  // namespace
}  // namespace quorate::cluster
