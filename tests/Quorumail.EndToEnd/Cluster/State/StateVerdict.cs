using System.Globalization;
using System.Text;

namespace Quorumail.EndToEnd.Cluster.State;

/// <summary>What a <see cref="StateLedger"/> says in the end.</summary>
internal sealed record StateVerdict
{
    private const int ShownMax = 10;

    /// <summary>Writes that were acknowledged.</summary>
    public int Acknowledged { get; init; }

    /// <summary>Writes that were refused: nothing has changed.</summary>
    public int Refused { get; init; }

    /// <summary>Writes of which the client does not know whether they happened.</summary>
    public int Unknown { get; init; }

    /// <summary>Of the unknown writes to keys that are written once, those that happened.</summary>
    public int UnknownButThere { get; init; }

    /// <summary>Fresh reads that were answered.</summary>
    public int Reads { get; init; }

    /// <summary>Terms that somebody led.</summary>
    public int Elections { get; init; }

    /// <summary>Acknowledged writes that a node does not hold.</summary>
    public IReadOnlyList<string> Lost { get; init; } = [];

    /// <summary>Keys with another value or version than acknowledged.</summary>
    public IReadOnlyList<string> Changed { get; init; } = [];

    /// <summary>Refused writes that happened.</summary>
    public IReadOnlyList<string> Phantoms { get; init; } = [];

    /// <summary>Keys that are not the same on all nodes.</summary>
    public IReadOnlyList<string> Diverged { get; init; } = [];

    /// <summary>Answers that no order of the operations explains.</summary>
    public IReadOnlyList<string> NotLinearizable { get; init; } = [];

    /// <summary>Terms with more than one leader.</summary>
    public IReadOnlyList<string> TwoLeaders { get; init; } = [];

    /// <summary>Answers of nodes that had lost their majority too long ago.</summary>
    public IReadOnlyList<string> Late { get; init; } = [];

    /// <summary>Answers that the interface does not have.</summary>
    public IReadOnlyList<string> Unexpected { get; init; } = [];

    /// <summary>Whether every promise was kept.</summary>
    public bool IsGreen => Complaints.All(complaint => complaint.Found.Count == 0);

    private IEnumerable<(string Name, IReadOnlyList<string> Found)> Complaints =>
    [
        ("lost", Lost),
        ("changed", Changed),
        ("refused but there", Phantoms),
        ("not the same on all nodes", Diverged),
        ("not linearizable", NotLinearizable),
        ("two leaders in a term", TwoLeaders),
        ("answered without a majority", Late),
        ("unexpected answers", Unexpected),
    ];

    /// <inheritdoc/>
    public override string ToString()
    {
        var text = new StringBuilder().Append(
            CultureInfo.InvariantCulture,
            $"writes: {Acknowledged} acknowledged, {Refused} refused, {Unknown} unknown ({UnknownButThere} of them there); {Reads} fresh reads; {Elections} elections; {Lost.Count} lost");
        foreach (var (name, found) in Complaints.Where(complaint => complaint.Found.Count > 0))
        {
            text.Append(CultureInfo.InvariantCulture, $"\n{found.Count} {name}:");
            foreach (var line in found.Take(ShownMax))
            {
                text.Append("\n  ").Append(line);
            }
        }

        return text.ToString();
    }
}
