
namespace Quorumail.Server.Torture.Sink;

/// <summary>The trouble that next hops make: refusals for now, lost replies, resets, late replies. Seeded.</summary>
internal sealed class SinkTrouble(int seed)
{
    private readonly Lock _lock = new();
    private readonly Random _random = new(seed);

    /// <summary>A sink's script.</summary>
    public SinkAction Decide(SinkStage stage, string _)
    {
        int chance;
        lock (_lock)
        {
            chance = _random.Next(1000);
        }

        return (stage, chance) switch
        {
            (SinkStage.Connect, < 20) => SinkAction.Say("421 4.3.2 not now"),
            (SinkStage.Recipient, < 30) => SinkAction.Say("451 4.2.1 mailbox busy"),
            (SinkStage.EndOfData, < 20) => SinkAction.Say("451 4.3.0 later"),
            (SinkStage.EndOfData, < 30) => SinkAction.Reset,
            (SinkStage.EndOfData, < 40) => SinkAction.LoseReply,
            (SinkStage.EndOfData, < 45) => SinkAction.Tarpit,
            _ => SinkAction.Accept,
        };
    }
}
