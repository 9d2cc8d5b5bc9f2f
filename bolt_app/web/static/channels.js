// Searches channels while the person types. Without JavaScript the form has a button.
"use strict";

const search = document.querySelector("[data-search]");
const list = document.getElementById("channels");
let wanted = 0;

function channelRow(channel) {
  const row = document.createElement("label");
  row.className = "channel";
  const choice = document.createElement("input");
  Object.assign(choice, { type: "radio", name: "channel_id", value: channel.id, required: true });
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = "#" + channel.name;
  const about = document.createElement("span");
  about.className = "quiet";
  const members = channel.member_count === 1 ? "1 member" : `${channel.member_count} members`;
  about.textContent = channel.is_member ? `${members}, Bellhop is in it` : members;
  row.append(choice, " ", name, " ", about);
  return row;
}

function say(sentence) {
  const line = document.createElement("p");
  line.className = "quiet";
  line.textContent = sentence;
  list.replaceChildren(line);
}

async function find() {
  const turn = ++wanted;
  const query = search.value.trim();
  const address = `${search.dataset.search}?${new URLSearchParams({ q: query })}`;
  let answer;
  try {
    const response = await fetch(address, { headers: { Accept: "application/json" } });
    answer = await response.json();
  } catch {
    answer = { detail: "Bellhop is not answering." };
  }
  if (turn !== wanted) return;
  if (answer.detail) say(answer.detail);
  else if (answer.channels.length === 0) say(`No public channel has “${query}” in its name.`);
  else list.replaceChildren(...answer.channels.map(channelRow));
}

if (search && list) {
  let timer;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, 150);
  });
}
