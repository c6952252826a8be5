// Transactions as code: a function reads and writes keys as if it were alone. What it wrote is committed only
// if nothing that it read or wrote was changed meanwhile; else the function is run again.
//
//   Atomically(client, [](Stm* stm) -> Status {
//     const auto value = stm->Get("counter");
//     if (!value.ok()) return value.status();
//     stm->Put("counter", std::to_string(std::stoi(value->value_or("0")) + 1));
//     return absl::OkStatus();
//   });
//
// The function sees one revision of the store, and its own writes (serializable snapshot isolation, as etcd's
// clients call it). It may run more than once, so it should have no other effects.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "quorate/client/client.h"

namespace quorate::client {

// One run of the function; only that uses it.
class Stm {
 public:
  // Nothing: there is no such key.
  StatusOr<std::optional<std::string>> Get(std::string_view key);
  void Put(std::string_view key, std::string_view value, const PutOptions& options = {});
  void Delete(std::string_view key);

 private:
  friend StatusOr<TxnResponse> Atomically(Client* client, const std::function<Status(Stm*)>& body,
                                          const CallOptions& call);
  struct Read {
    std::optional<std::string> value;
    int64_t mod_revision = 0;  // Zero: it does not exist.
  };
  struct Write {
    std::optional<std::string> value;  // Nothing: delete it.
    Op op;
  };

  Stm(Client* client, const CallOptions& call) : client_(*client), call_(call) {}
  Txn Commit() const;

  Client& client_;
  const CallOptions call_;
  int64_t revision_ = 0;  // That it sees; zero until the first read.
  std::map<std::string, Read, std::less<>> reads_;
  std::map<std::string, Write, std::less<>> writes_;
};

// Returns what the commit was answered, or the body's error as it is, or the error of a request; status.h
// says what that means for the writes. `call` holds for each request.
StatusOr<TxnResponse> Atomically(Client* client, const std::function<Status(Stm*)>& body,
                                 const CallOptions& call = {});

}  // namespace quorate::client
