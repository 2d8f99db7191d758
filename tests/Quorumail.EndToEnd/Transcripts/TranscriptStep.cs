namespace Quorumail.EndToEnd.Transcripts;

/// <summary>One step of a transcript.</summary>
/// <param name="Line">Number of the line in the file, from 1, for messages.</param>
internal abstract record TranscriptStep(int Line);

/// <summary><c>C:</c> the client sends these octets at once.</summary>
internal sealed record SendStep(int Line, byte[] Octets) : TranscriptStep(Line);

/// <summary><c>S:</c> the server's next whole reply, a regular expression for each of its lines.</summary>
internal sealed record ReplyStep(int Line, IReadOnlyList<string> Patterns) : TranscriptStep(Line);

/// <summary><c>E:</c> the server closes the connection, having said nothing more.</summary>
internal sealed record EndStep(int Line) : TranscriptStep(Line);

/// <summary><c>M: n</c> this many messages for <c>${me}@relay.test</c> have arrived when the transcript is over.</summary>
internal sealed record MessagesStep(int Line, int Count) : TranscriptStep(Line);

/// <summary><c>B: pattern</c> a message that arrived matches; <c>B! pattern</c>: none does.</summary>
internal sealed record BodyStep(int Line, string Pattern, bool IsWanted) : TranscriptStep(Line);
