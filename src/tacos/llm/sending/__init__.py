"""The road of a request to its reply.

sender             the road itself: `Sender.ask`
response_policy    what is done about each result (decisions: what can be done)
error_statuses     what an error status means (refused_parts: which part of a request is refused)
form_search        the form of request that a server accepts
server_waits       how long a server asks to wait
remedies           what a person can do about a failure
announcements      what a person hears meanwhile
pacing             how many may be in flight, and when the next one may go
second_asks        questions asked a second time: with what is wrong, or anew
question_line      how many questions of a stage may be open
requests_in_flight a request on its way, and the batch that waits for it
event_loop         the thread on which all of it runs
continuation       coroutines that go on at once
"""
