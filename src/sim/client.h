// Clients in virtual time. Each asks one request after the other, of whichever member it likes, gives up
// after a while, and writes down everything in the History. Every value is written once in a simulation, and
// never tried again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/env_sim.h"
#include "sim/node.h"
#include "sim/world.h"

namespace quorate::sim {

// The members that clients know of; changed by member changes.
using Endpoints = std::vector<Node*>;

struct ClientOptions {
  int number = 0;  // From 0.
  uint64_t seed = 0;
  int64_t think_nanos = 20 * kMillisecond;  // Mean, between an answer and the next request.
  int64_t timeout_nanos = 3 * kSecond;
  int keys = 20;
  bool big_values = false;
  bool disarms = false;  // The alarm NOSPACE, now and then.
  std::string user;      // In whose name it asks, where authentication is on.
};

// Asks; what it asks is the subclass's choice.
class Client {
 public:
  Client(World* world, const Endpoints* endpoints, ClientOptions options);
  virtual ~Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Start();
  // No new requests.
  virtual void Stop() { stopped_ = true; }
  bool idle() const { return !waiting_; }
  // One request, outside of its own course; of this member when one is given. `done` runs with the answer or
  // with Unavailable when none came in time.
  void Ask(Request request, Node* of, std::function<void(const Operation&)> done);

  uint64_t asked() const { return asked_; }
  uint64_t acknowledged() const { return acknowledged_; }

 protected:
  virtual Request Choose() = 0;
  virtual void OnAnswer(const Operation&) {}

  Node* ChooseNode();
  int actor() const { return kFirstClient + options_.number; }
  std::string RandomKey();
  // A key, a few neighbours, or all.
  void RandomRange(Request* request);
  std::string FreshValue();
  bool Chance(uint64_t in_hundred) { return random_.Below(100) < in_hundred; }

  World& world_;
  const Endpoints& endpoints_;
  const ClientOptions options_;
  SeededRandom random_;
  int64_t revision_ = 1;  // The highest seen.

 private:
  void Next();
  void SendAnswers();
  void Arrive(uint64_t op, Response response);
  void GiveUp(uint64_t op);
  void Finish(Operation& operation, const std::function<void(const Operation&)>& done);

  Node* sticky_ = nullptr;
  bool stopped_ = false;
  bool waiting_ = false;
  uint64_t values_ = 0;
  uint64_t asked_ = 0;
  uint64_t acknowledged_ = 0;
  std::map<uint64_t, std::function<void(const Operation&)>> open_;  // Not answered, not given up.
};

// Puts, deletions, transactions, and reads of every kind.
class KeyClient : public Client {
 public:
  using Client::Client;

 protected:
  Request Choose() override;

 private:
  Request ChooseTxn();
  Request ChooseRead();
};

// Grants leases, ties keys to them, renews them for a while, and forgets or revokes them.
class LeaseClient : public Client {
 public:
  using Client::Client;

 protected:
  Request Choose() override;
  void OnAnswer(const Operation& operation) override;

 private:
  struct Held {
    int64_t id = 0;
    int64_t renewals_left = 0;
  };
  Request Grant();

  std::vector<Held> held_;
  int64_t granted_ = 0;
};

// Makes users and roles, switches authentication on, and goes on to change all that. What "alice" may do is
// what it gives her; "root" may do everything.
class AuthClient : public Client {
 public:
  using Client::Client;

 protected:
  Request Choose() override;
  void OnAnswer(const Operation& operation) override;

 private:
  static Request Change(AuthChange change, std::string key, std::string value = {}, std::string end = {});
  Request ChoosePermission();

  size_t prepared_ = 0;  // Steps of the beginning that are done.
};

// Compacts, defragments, takes snapshots, compares hashes, moves the leader.
class OperatorClient : public Client {
 public:
  using Client::Client;

 protected:
  Request Choose() override;
};

}  // namespace quorate::sim
