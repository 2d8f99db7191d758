using Quorumail.Core.Delivery;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>The world's other mail servers, of which some are slow, some down, some rude.</summary>
internal sealed class ModelNextHops(Simulator simulator, Oracle oracle)
{
    /// <summary>Never answers.</summary>
    public const string Dead = "dead.example";

    /// <summary>Down at times.</summary>
    public const string Flaky = "flaky.example";

    /// <summary>Where notices go: never refuses for good.</summary>
    public const string Senders = "sender.example";

    /// <summary>A local Maildir.</summary>
    public const string Box = "box.example";

    public static IReadOnlyList<string> Domains { get; } = ["a.example", "b.example", Flaky, Dead, Box];

    public bool IsFaulty { get; set; } = true;

    public long FlakyDownUntil { get; set; }

    public bool IsReachable(string domain) =>
        domain switch
        {
            Dead => false,
            Flaky => simulator.Now >= FlakyDownUntil,
            _ => !IsFaulty || !simulator.Chance(5),
        };

    /// <summary>The answer to RCPT; null for 250.</summary>
    public DeliveryReply? Recipient(string domain)
    {
        var fate = simulator.Random.Next(100);
        return fate switch
        {
            < 4 when domain != Senders => Reply(DeliveryVerdict.Permanent, "550 5.1.1 no such user", "5.1.1"),
            < 8 when IsFaulty => Reply(DeliveryVerdict.Temporary, "450 4.2.1 busy", "4.2.1"),
            _ => null,
        };
    }

    /// <summary>The message and its dot arrive. Returns the answer, or null if the connection breaks before it is read.</summary>
    public DeliveryReply? Dot(QueuedMessage message, IReadOnlyList<int> recipients, ModelBody body, string domain)
    {
        var fate = IsFaulty ? simulator.Random.Next(100) : 99;
        if (fate < 5)
        {
            return null;
        }

        if (fate < 12)
        {
            return Reply(DeliveryVerdict.Temporary, "451 4.3.0 later", "4.3.0");
        }

        if (fate < 15 && domain != Senders)
        {
            return Reply(DeliveryVerdict.Permanent, "554 5.6.0 not this", "5.6.0");
        }

        foreach (var recipient in recipients)
        {
            oracle.Delivered(message, recipient, body, isIdempotent: false);
        }

        return fate < 25 ? null : Reply(DeliveryVerdict.Delivered, "250 2.0.0 taken", "2.0.0");
    }

    private static DeliveryReply Reply(DeliveryVerdict verdict, string text, string code) =>
        new(verdict, text, code, "mx.example[192.0.2.1]:25", DeliveryHandover.Relayed);
}
