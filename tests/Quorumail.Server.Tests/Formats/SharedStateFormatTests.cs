using Quorumail.Cluster.Log;
using Quorumail.Cluster.State;
using Quorumail.Core.Cluster.State;
using Quorumail.Server.Tests.Storage;
using Quorumail.Tests.Formats;

namespace Quorumail.Server.Tests.Formats;

/// <summary>The shared state's commands and answers in the log, and its file, which is its part of a snapshot too.</summary>
public sealed class SharedStateFormatTests
{
    private static readonly StateEntry[] Entries =
    [
        new("a", Convert.FromHexString("00FF"), 5, 1_600_000_000_000, 1_700_000_000_000),
        new("ä/b", Array.Empty<byte>(), 7, 1_600_000_000_001, 0),
    ];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void Commands_and_answers_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("state-commands.golden");
        foreach (var (name, command) in ((string, StateCommand)[])
            [
                ("set", new StateCommand(StateAction.Set, "ä/b") { Value = Convert.FromHexString("00FF"), TimeToLive = 60_000 }),
                ("set-if-version", new StateCommand(StateAction.Set, "a") { Value = Convert.FromHexString("01"), Condition = StateCondition.Version, Expected = 7 }),
                ("set-if-value", new StateCommand(StateAction.Set, "a") { Value = Convert.FromHexString("01"), Condition = StateCondition.Value, ExpectedValue = Convert.FromHexString("0203") }),
                ("set-if-not-older", new StateCommand(StateAction.Set, "a") { Value = Convert.FromHexString("01"), Condition = StateCondition.NotOlder, Expected = 1_700_000_000 }),
                ("delete", new StateCommand(StateAction.Delete, "a")),
                ("sweep", new StateCommand(StateAction.Sweep, "")),
            ])
        {
            file.Holds<StateCommand?>(name, command, c => StateCommandFormat.Encode(c!), bytes => StateCommandFormat.Decode(bytes));
        }

        foreach (var status in Enum.GetValues<StateStatus>())
        {
            file.Holds($"answer-{status}", new StateAnswer(status, 7), StateCommandFormat.Encode, bytes => StateCommandFormat.DecodeAnswer(bytes));
        }

        file.Close();
    }

    [Fact]
    public async Task The_file_is_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("state-file.golden");
        using var written = new MemoryStream();
        await StateFileFormat.WriteAsync(new StateCut(9, 7, 1_600_000_000_002, Entries), written, Token);
        file.Writes("file", written.ToArray());
        using var golden = new MemoryStream(file["file"]);
        var (state, index) = await StateFileFormat.ReadAsync(golden, new StateLimits(), Token);
        file.Close();

        Assert.Equal((9, 7, 1_600_000_000_002), (index, state.Version, state.LastRemovalAt));
        Assert.Equal(Entries.Select(Text), state.Entries.Select(Text));
    }

    [Fact]
    public async Task Later_formats_are_refused_by_name()
    {
        var bytes = GoldenFile.Open("state-file.golden")["file"];
        bytes["QMSTATE".Length]++;
        using var later = new MemoryStream(bytes);
        var refusal = await Assert.ThrowsAsync<InvalidDataException>(() => StateFileFormat.ReadAsync(later, new StateLimits(), Token).AsTask());
        Assert.Contains("format 2", refusal.Message, StringComparison.Ordinal);

        var command = GoldenFile.Open("state-commands.golden")["delete"];
        command[0]++;
        using var directory = new TemporaryDirectory();
        var store = await StateStoreState.OpenAsync(directory.Path, new ReplicationCounters(), null, Token);
        Assert.Contains(
            "format 2",
            Assert.Throws<LogFormatException>(() => store.Apply(1, 1, [command], new ReadOnlyMemory<byte>[1])).Message,
            StringComparison.Ordinal);
    }

    private static string Text(StateEntry entry) =>
        FormattableString.Invariant($"{entry.Key} {Convert.ToHexString(entry.Value.Span)} {entry.Version} {entry.ModifiedAt} {entry.ExpiresAt}");
}
