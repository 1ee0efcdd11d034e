"""A person has to agree first: questions, votes, standing grants, endorsements, and who is told when."""
