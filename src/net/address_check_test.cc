#include "net/address_check.h"

#include <gtest/gtest.h>

#include <map>

namespace quorate::net {
namespace {

using Strings = std::vector<std::string>;

class AddressCheckTest : public testing::Test {
 protected:
  NameService Service() {
    return {[this](const std::string& address) { return Find(back, address); },
            [this](const std::string& name) { return Find(forth, name); }};
  }
  static StatusOr<Strings> Find(const std::map<std::string, Strings>& in, const std::string& key) {
    const auto it = in.find(key);
    if (it == in.end()) return NotFound("lookup " + key + ": no such host");
    return it->second;
  }
  // As the door does it; "" when the address is accepted.
  std::string Check(const Strings& dns, const Strings& ips, const std::string& address) {
    CertificateNames names;
    names.dns_names = dns;
    names.ip_addresses = ips;
    std::optional<Status> verdict = CheckAddressQuickly(names, address);
    asked_names_ = !verdict;
    if (!verdict) verdict = CheckAddressByName(names, address, Service());
    return std::string(Message(*verdict));
  }

  std::map<std::string, Strings> back;
  std::map<std::string, Strings> forth;
  bool asked_names_ = false;
};

TEST_F(AddressCheckTest, WithoutNamesOrByAddress) {
  EXPECT_EQ("", Check({}, {}, "10.0.0.1"));
  EXPECT_EQ("", Check({}, {"10.0.0.1"}, "10.0.0.1"));
  EXPECT_EQ("", Check({"a"}, {"10.0.0.1"}, "10.0.0.1"));
  EXPECT_FALSE(asked_names_);
  EXPECT_EQ("x509: certificate is valid for 10.0.0.2, not 10.0.0.1", Check({}, {"10.0.0.2"}, "10.0.0.1"));
  EXPECT_FALSE(asked_names_);
}

TEST_F(AddressCheckTest, BackwardsExactAndWildcard) {
  back["10.0.0.1"] = {"other", "m1.example.com."};
  EXPECT_EQ("", Check({"m1.example.com"}, {}, "10.0.0.1"));
  EXPECT_EQ("", Check({"*.example.com"}, {}, "10.0.0.1"));
  EXPECT_EQ("", Check({"*.example.com"}, {"10.9.9.9"}, "10.0.0.1"));
  EXPECT_NE("", Check({"*.example.org"}, {}, "10.0.0.1"));
  EXPECT_NE("", Check({"m1"}, {}, "10.0.0.1"));
}

TEST_F(AddressCheckTest, Forwards) {
  forth["m1"] = {"10.0.0.7", "10.0.0.1"};
  forth["*.x"] = {"10.0.0.2"};  // A wildcard is never looked up.
  EXPECT_EQ("", Check({"m0", "m1"}, {}, "10.0.0.1"));
  EXPECT_EQ(
      "tls: \"10.0.0.2\" does not match any of DNSNames [\"m1\" \"*.x\"] (lookup 10.0.0.2: no such host)",
      Check({"m1", "*.x"}, {}, "10.0.0.2"));
}

TEST_F(AddressCheckTest, AddressesOfPeers) {
  EXPECT_EQ("127.0.0.1", AddressOfPeer("127.0.0.1:2380"));
  EXPECT_EQ("::1", AddressOfPeer("[::1]:2380"));
  EXPECT_EQ("", AddressOfPeer("unix:/run/x"));
}

TEST_F(AddressCheckTest, SystemKnowsItsLoopback) {
  const NameService system = SystemNameService();
  const auto addresses = system.addresses_of("localhost");
  ASSERT_TRUE(addresses.ok());
  EXPECT_FALSE(addresses->empty());
  EXPECT_FALSE(system.names_of("no address").ok());
}

}  // namespace
}  // namespace quorate::net
