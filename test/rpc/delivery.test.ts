import { Socket } from "node:net";
import { pino } from "pino";
import { expect, it } from "vitest";
import { Deliveries } from "../../src/rpc/delivery.ts";

it("what a client has not read is on its way, also behind a notification whose descriptors nobody gets", async () => {
  let hasUnread = true;
  const sent: string[] = [];
  const courier = {
    async sendDescriptors(_socket: Socket, text: string) {
      sent.push(text);
    },
    hasUnread: () => hasUnread,
  };
  const deliveries = new Deliveries(new Socket(), courier, pino({ level: "silent" }));
  let closed = 0;
  const parcel = { fds: [], close: () => closed++ };
  expect(deliveries.areUnderWay).toBe(false);
  deliveries.enclose(parcel);
  await deliveries.send("answer");
  expect(deliveries.areUnderWay).toBe(true);
  deliveries.enclose(parcel);
  await deliveries.send(undefined);
  expect({ sent, closed, areUnderWay: deliveries.areUnderWay }).toEqual({
    ...{ sent: ["answer"], closed: 2, areUnderWay: true },
  });
  hasUnread = false;
  expect(deliveries.areUnderWay).toBe(false);
});
