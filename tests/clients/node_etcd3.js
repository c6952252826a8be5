// What a program on npm's etcd3 does, with the outcome of each step on standard output. Argument: host:port.
'use strict';
const {Etcd3} = require('etcd3');

const show = (name, ...values) => console.log(name, ...values.map(v => JSON.stringify(v)));

async function main() {
  const client = new Etcd3({hosts: `http://${process.argv[2]}`});
  await client.put('a').value('1');
  show('get', await client.get('a').string());
  show('missing', await client.get('nosuch').string());
  await client.put('n').value(42);
  show('number', await client.get('n').number());
  for (let i = 0; i < 10; i++) await client.put(`dir/${i}`).value(String(i));
  show('prefix', await client.getAll().prefix('dir/').strings());
  show('keys', await client.getAll().prefix('dir/').keys());
  show('sorted', await client.getAll().prefix('dir/').sort('Key', 'Descend').limit(3).keys());
  show('count', await client.getAll().prefix('dir/').count());
  show('delete', (await client.delete().key('a')).deleted, (await client.delete().prefix('dir/')).deleted);

  const won = await client.if('n', 'Value', '==', '42').then(client.put('txn').value('yes'))
      .else(client.put('txn').value('no')).commit();
  show('txn', won.succeeded, await client.get('txn').string());
  const lost = await client.if('nosuch', 'Version', '>', 0).then(client.put('txn').value('x'))
      .else(client.get('n')).commit();
  show('txn else', lost.succeeded, lost.responses[0].response_range.kvs[0].value.toString());

  const lease = client.lease(600);
  await lease.put('leased').value('v');
  show('lease', await client.get('leased').string());
  await lease.keepaliveOnce();
  await lease.revoke();
  show('revoked', await client.get('leased').string());

  const watcher = await client.watch().prefix('w/').create();
  const seen = [];
  const four = new Promise(resolve => {
    const note = (kind, kv) => {
      seen.push([kind, kv.key.toString(), kv.value.toString()]);
      if (seen.length === 4) resolve();
    };
    watcher.on('put', kv => note('put', kv)).on('delete', kv => note('delete', kv));
  });
  await client.put('w/1').value('x');
  await client.put('w/2').value('y');
  await client.delete().key('w/1');
  await client.put('w/3').value('z');
  await four;
  show('watch', seen);
  await watcher.cancel();

  const past = await client.watch().key('w/2').startRevision('1').create();
  show('watch past', await new Promise(resolve => past.on('put', kv => resolve(kv.value.toString()))));
  await past.cancel();

  const lock = client.lock('mutex').ttl(60);
  await lock.acquire();
  show('locked', await client.getAll().prefix('mutex').count() >= 1);
  let refused = '';
  try {
    await client.lock('mutex').acquire();
  } catch (error) {
    refused = error.constructor.name;
  }
  show('lock refused', refused);
  await lock.release();

  const election = client.election('chair', 60);
  const campaign = election.campaign('me');
  await new Promise(resolve => campaign.on('elected', resolve));
  show('leader', await election.leader());
  await campaign.resign();

  show('members', (await client.cluster.memberList({})).members.map(m => [m.name, m.clientURLs.length]));
  show('status', Number((await client.maintenance.status({})).dbSize) > 0);
  await client.kv.compact({revision: '5'});
  try {
    await client.kv.compact({revision: '5'});
  } catch (error) {
    show('compacted', error.constructor.name, error.message);
  }
  try {
    await client.kv.put({key: Buffer.alloc(0), value: Buffer.from('x')});
  } catch (error) {
    show('empty key', error.constructor.name, error.message);
  }
  client.close();
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
