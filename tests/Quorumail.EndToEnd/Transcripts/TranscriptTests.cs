namespace Quorumail.EndToEnd.Transcripts;

/// <summary>Plays every file of corpus/ to the real server.</summary>
public sealed class TranscriptTests(TranscriptServers servers) : IClassFixture<TranscriptServers>
{
    private static readonly string Corpus = Path.Combine(Repository.Tests, "corpus");

    /// <summary>The files' names.</summary>
    public static TheoryData<string> Names => [.. Directory.GetFiles(Corpus, "*.smtp").Select(path => Path.GetFileNameWithoutExtension(path)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task The_server_answers_as_the_transcript_says(string name)
    {
        var token = TestContext.Current.CancellationToken;
        var text = await File.ReadAllTextAsync(Path.Combine(Corpus, name + ".smtp"), token);
        var transcript = Transcript.Parse(text, new Dictionary<string, string>(StringComparer.Ordinal) { ["me"] = name });
        var server = await servers.GetAsync(transcript.Profile, token);
        var address = name + "@relay.test";

        var fault = await TranscriptPlayer.PlayAsync(
            transcript,
            server.SmtpPort,
            () => [.. servers.Sink.Messages.Where(each => each.Recipients.Contains(address, StringComparer.Ordinal))],
            token);

        Assert.True(fault is null, $"{name}.smtp, {fault}\nThe server's output ends:\n{server.Child.OutputTail}");
    }
}
