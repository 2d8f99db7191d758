namespace Quorumail.Server.Torture.Ledger;

/// <summary>One copy that arrived somewhere for one recipient.</summary>
/// <param name="Id">The message's name; empty if the bytes are none of ours.</param>
/// <param name="QueueId">The queue id in the server's topmost Received: header; empty if there is none.</param>
/// <param name="Recipient">For whom it arrived.</param>
/// <param name="IsIntact">Whether every octet is as it was sent, and no CR or LF stands alone.</param>
internal sealed record DeliveredCopy(string Id, string QueueId, string Recipient, bool IsIntact);
