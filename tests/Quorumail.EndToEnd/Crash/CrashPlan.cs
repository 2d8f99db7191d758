using System.Globalization;

namespace Quorumail.EndToEnd.Crash;

/// <summary>How often the server is killed, and the seed of the run: QUORUMAIL_ROUNDS and QUORUMAIL_SEED, see torture.sh.</summary>
internal static class CrashPlan
{
    /// <summary>Kills in a run; one within test.sh.</summary>
    public static int Rounds { get; } = Read("QUORUMAIL_ROUNDS", 1);

    /// <summary>Seeds load, trouble and the moments of the kills; another one each time unless given.</summary>
    public static int Seed { get; } = Read("QUORUMAIL_SEED", Random.Shared.Next(1, 1_000_000));

    /// <summary>Leaders of a cluster killed one after the other (QUORUMAIL_FAILOVERS); two within test.sh.</summary>
    public static int Failovers { get; } = Read("QUORUMAIL_FAILOVERS", 2);

    /// <summary>Nodes of a cluster killed, and as many cut off, for what others do with their mail (QUORUMAIL_TAKEOVERS); one within test.sh.</summary>
    public static int Takeovers { get; } = Read("QUORUMAIL_TAKEOVERS", 1);

    private static int Read(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : otherwise;
}
