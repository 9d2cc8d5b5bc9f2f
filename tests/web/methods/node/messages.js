// Posts, replies, updates and deletes with Slack's own client, and prints what it answered.
const { WebClient } = require("@slack/web-api");

const [slackApiUrl, token, channel] = process.argv.slice(2);
const client = new WebClient(token, { slackApiUrl, retryConfig: { retries: 0 } });

async function main() {
  const identity = await client.auth.test();
  const one = await client.chat.postMessage({
    channel,
    text: "one",
    blocks: [{ type: "section", text: { type: "mrkdwn", text: "*one*" } }],
  });
  const two = await client.chat.postMessage({ channel, text: "two", thread_ts: one.ts });
  await client.chat.update({ channel: one.channel, ts: one.ts, text: "one!", blocks: [] });
  await client.chat.delete({ channel: two.channel, ts: two.ts });
  const three = await client.chat.postMessage({ channel, text: "three", thread_ts: one.ts });
  const names = [];
  for await (const page of client.paginate("conversations.list", { limit: 2 })) {
    names.push(...page.channels.map((found) => found.name));
  }
  const uploaded = await client.filesUploadV2({
    channel_id: one.channel,
    filename: "report.txt",
    file: Buffer.from("Hello"),
    initial_comment: "four",
  });
  const failed = await client.chat
    .postMessage({ channel: "#nowhere", text: "x" })
    .catch((error) => error.data.error);
  const file = uploaded.files[0].files[0];
  console.log(JSON.stringify({ team: identity.team_id, one, three, names, file, failed }));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
