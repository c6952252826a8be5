#include "cmd/quorate/default_host.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include <string>

namespace quorate::cmd {
namespace {

std::string Padded(std::string bytes) {
  bytes.resize(NLMSG_ALIGN(bytes.size()), '\0');
  return bytes;
}

template <typename T>
std::string Bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string Attr(uint16_t type, const std::string& value) {
  const rtattr header{static_cast<unsigned short>(sizeof(rtattr) + value.size()), type};
  return Padded(Bytes(header) + value);
}

std::string Message(uint16_t type, const std::string& body) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(sizeof header + body.size());
  header.nlmsg_type = type;
  return Padded(Bytes(header) + body);
}

std::string Ip(int family, const char* text) {
  char bytes[16];
  EXPECT_EQ(::inet_pton(family, text, bytes), 1) << text;
  return {bytes, family == AF_INET ? size_t{4} : size_t{16}};
}

std::string Route(uint8_t family, uint8_t dst_bits, uint32_t interface, const std::string& source = {},
                  uint8_t table = RT_TABLE_MAIN) {
  rtmsg route{};
  route.rtm_family = family;
  route.rtm_dst_len = dst_bits;
  route.rtm_table = table;
  std::string body = Padded(Bytes(route));
  if (interface != 0) body += Attr(RTA_OIF, Bytes(interface));
  if (!source.empty()) body += Attr(RTA_PREFSRC, source);
  return Message(RTM_NEWROUTE, body);
}

std::string Address(uint8_t family, uint32_t interface, const char* ip) {
  ifaddrmsg address{};
  address.ifa_family = family;
  address.ifa_index = interface;
  return Message(RTM_NEWADDR, Padded(Bytes(address)) + Attr(IFA_ADDRESS, Ip(family, ip)));
}

TEST(DefaultHost, IsThatOfTheDefaultRoute) {
  const std::string addresses = Address(AF_INET6, 2, "fe80::2") + Address(AF_INET, 2, "192.0.2.2") +
                                Address(AF_INET, 3, "192.0.2.3") + Address(AF_INET, 3, "192.0.2.33");
  const std::string v6_source = Ip(AF_INET6, "2001:db8::1");
  const struct {
    std::string routes;
    std::string host;  // Or the error.
  } cases[] = {
      {"", "could not find default route"},
      {Route(AF_INET, 24, 2), "could not find default route"},
      {Route(AF_INET, 0, 2, {}, RT_TABLE_LOCAL), "could not find default route"},
      {Route(AF_INET, 0, 0), "could not find default route"},
      {Route(AF_INET, 0, 9), "could not find address for interface index 9"},
      {Route(AF_INET, 24, 2) + Route(AF_INET, 0, 3), "192.0.2.3"},
      {Route(AF_INET, 0, 3, Ip(AF_INET, "192.0.2.7")), "192.0.2.7"},
      {Route(AF_INET, 0, 3) + Route(AF_INET, 0, 2), "192.0.2.2"},
      {Route(AF_INET6, 0, 2, v6_source) + Route(AF_INET, 0, 2), "192.0.2.2"},
      {Route(AF_INET6, 0, 2, v6_source), "2001:db8::1"},
      {Route(AF_INET6, 0, 2), "fe80::2"},
      {Route(AF_INET6, 0, 2, "short"), "fe80::2"},
  };
  for (const auto& c : cases) {
    const auto host = ChooseDefaultHost(c.routes, addresses);
    EXPECT_EQ(host.ok() ? *host : std::string(quorate::Message(host.status())), c.host);
  }
  // Cut anywhere: an answer or an error, never a read beyond the end.
  const std::string routes = Route(AF_INET, 0, 2);
  for (size_t n = 0; n < routes.size(); ++n)
    EXPECT_FALSE(ChooseDefaultHost(routes.substr(0, n), addresses).ok());
  for (size_t n = 0; n < addresses.size(); ++n) (void)ChooseDefaultHost(routes, addresses.substr(0, n));
}

TEST(DefaultHost, TheKernelIsAsked) {
  const auto host = DetectDefaultHost();
  if (!host.ok()) GTEST_SKIP() << host.status();  // A machine without a way out.
  char bytes[16];
  EXPECT_EQ(::inet_pton(host->find(':') == std::string::npos ? AF_INET : AF_INET6, host->c_str(), bytes), 1);
}

TEST(DefaultHost, ReplacesOnlyDefaultsBehindAllAddresses) {
  const struct {
    std::vector<std::string> args;
    std::string peer, client, cluster;
    bool used;
  } cases[] = {
      {{}, "http://localhost:2380", "http://localhost:2379", "default=http://localhost:2380", false},
      {{"--name", "m", "--listen-peer-urls", "http://0.0.0.0:5"},
       "http://192.0.2.2:5",
       "http://localhost:2379",
       "m=http://192.0.2.2:5",
       true},
      {{"--listen-peer-urls", "http://0.0.0.0:5"},
       "http://192.0.2.2:5",
       "http://localhost:2379",
       "default=http://localhost:2380",
       true},
      {{"--name", "m", "--listen-peer-urls", "http://127.0.0.1:5", "--listen-client-urls", "http://0.0.0.0:6",
        "--advertise-client-urls", "http://localhost:2379"},
       "http://localhost:2380",
       "http://192.0.2.2:6",
       "m=http://localhost:2380",
       true},
      {{"--name", "m", "--listen-peer-urls", "http://0.0.0.0:5", "--initial-advertise-peer-urls",
        "http://h:5", "--listen-client-urls", "http://0.0.0.0:6", "--advertise-client-urls", "http://h:6"},
       "http://h:5",
       "http://h:6",
       "m=http://h:5",
       false},
      {{"--name", "m", "--listen-peer-urls", "http://0.0.0.0:5", "--initial-cluster",
        "m=http://localhost:2380"},
       "http://192.0.2.2:5",
       "http://localhost:2379",
       "m=http://localhost:2380",
       true},
  };
  for (const auto& c : cases) {
    ParseResult result = ParseOptions("quorate", c.args, {});
    ASSERT_TRUE(result.options.has_value());
    Options& o = *result.options;
    std::vector<Notice> notices;
    AdvertiseDefaultHost(std::string("192.0.2.2"), &o, &notices);
    EXPECT_EQ(o.initial_advertise_peer_urls[0].String(), c.peer);
    EXPECT_EQ(o.advertise_client_urls[0].String(), c.client);
    EXPECT_EQ(o.initial_cluster, c.cluster);
    ASSERT_EQ(notices.size(), c.used ? 1u : 0u);
    if (c.used) {
      EXPECT_EQ(notices[0].message, "detected default host for advertise");
    }
  }
  Options untouched = *ParseOptions("quorate", {"--listen-peer-urls", "http://0.0.0.0:5"}, {}).options;
  std::vector<Notice> notices;
  AdvertiseDefaultHost(NotFound("could not find default route"), &untouched, &notices);
  EXPECT_EQ(untouched.initial_advertise_peer_urls[0].String(), "http://localhost:2380");
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_EQ(notices[0].message, "failed to detect default host");
}

}  // namespace
}  // namespace quorate::cmd
