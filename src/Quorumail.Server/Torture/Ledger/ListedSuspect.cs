using System.Text.Json;

namespace Quorumail.Server.Torture.Ledger;

/// <summary>One delivery that the server lists as possibly doubled.</summary>
/// <param name="QueueId">Its queue id.</param>
/// <param name="Recipient">The recipient; empty when all recipients of the message are meant.</param>
/// <param name="Reason">Why, as the server names it.</param>
internal sealed record ListedSuspect(string QueueId, string Recipient, string Reason)
{
    /// <summary>Reads one entry of GET /api/queue/suspects.</summary>
    public static ListedSuspect Read(JsonElement entry) => new(
        entry.GetProperty("id").GetString()!,
        entry.TryGetProperty("recipient", out var recipient) ? recipient.GetString() ?? "" : "",
        entry.GetProperty("reason").GetString()!);
}
