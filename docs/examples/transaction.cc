// Transactions: take money from one account only if it is there. Usage: transaction ENDPOINT...
#include <iostream>
#include <string>

#include "quorate/client/stm.h"

namespace qc = quorate::client;

// [transfer]
// Reads, then writes only if nobody has written meanwhile; else once more.
qc::Status Transfer(qc::Client& client, int amount) {
  while (true) {
    const auto from = client.kv().Get("account/a");
    if (!from.ok()) return from.status();
    const auto to = client.kv().Get("account/b");
    if (!to.ok()) return to.status();
    const int a = std::stoi(from->kvs(0).value());
    const int b = std::stoi(to->kvs(0).value());
    if (a < amount) return absl::FailedPreconditionError("not enough");

    qc::Txn txn;
    txn.If({qc::ModRevisionOf("account/a").Equals(from->kvs(0).mod_revision()),
            qc::ModRevisionOf("account/b").Equals(to->kvs(0).mod_revision())})
        .Then({qc::Op::Put("account/a", std::to_string(a - amount)),
               qc::Op::Put("account/b", std::to_string(b + amount))});
    const auto done = client.kv().Commit(txn);
    if (!done.ok()) return done.status();
    if (done->succeeded()) return absl::OkStatus();
  }
}
// [/transfer]

// [stm]
// The same as code that reads and writes as if it were alone.
qc::Status Deposit(qc::Client& client, int amount) {
  return qc::Atomically(&client,
                        [&](qc::Stm* stm) -> qc::Status {
                          const auto balance = stm->Get("account/b");
                          if (!balance.ok()) return balance.status();
                          stm->Put("account/b", std::to_string(std::stoi(balance->value_or("0")) + amount));
                          return absl::OkStatus();
                        })
      .status();
}
// [/stm]

int main(int argc, char** argv) {
  const auto client = qc::Client::Connect({.endpoints = {argv + 1, argv + argc}});
  if (!client.ok()) return 1;
  if (!(*client)->kv().Put("account/a", "100").ok() || !(*client)->kv().Put("account/b", "0").ok()) return 1;
  std::cout << Transfer(**client, 30) << "\n";
  std::cout << Transfer(**client, 80) << "\n";
  std::cout << Deposit(**client, 5) << "\n";
  const auto balance = (*client)->kv().Get("account/b");
  if (!balance.ok()) return 1;
  std::cout << balance->kvs(0).value() << "\n";
}
